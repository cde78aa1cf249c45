"""One evaluation at a time, each in a process of its own that ends with its time or with the service."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.errors import FtassetsError
from ftassets.gate_service.contract import BadRequest, EvaluationJob, GateAnswer
from ftassets.workers.process import last_words, write_job

LIMIT = 600.0  # seconds a request may take, its wait included
WAITING = 8  # requests that may wait
KEY = "FTASSETS_GATE_KEY"

Run = Callable[[EvaluationJob], Awaitable[GateAnswer]]


class QueueFull(FtassetsError):
    """The queue has reached its maximum length."""


class OutOfTime(FtassetsError):
    """The request exceeded its time limit; its process was ended."""


class Turns:
    """Lets requests through one after the other, in the order they came."""

    def __init__(self, run: Run, limit: float = LIMIT, waiting: int = WAITING) -> None:
        self._run, self._limit, self._most = run, limit, waiting + 1
        self._inside = 0
        self._turn = asyncio.Lock()

    async def evaluate(self, job: EvaluationJob) -> GateAnswer:
        """The answer to a job. Raises QueueFull, OutOfTime, and what the run raises."""
        if self._inside >= self._most:
            raise QueueFull(f"{self._inside} evaluations are under way or waiting, and one runs at a time: try again in some minutes")
        self._inside += 1
        begun = False
        try:
            async with asyncio.timeout(self._limit), self._turn:
                begun = True
                return await self._run(job)
        except TimeoutError as error:
            what = "the evaluation was ended" if begun else "its turn did not come"
            advice = "the answers it had finished are kept: ask again" if begun else "ask again later"
            raise OutOfTime(f"{what} after {self._limit:.0f} s; {advice}") from error
        finally:
            self._inside -= 1


async def run_process(job: EvaluationJob, module: Sequence[str] = ("-m", "ftassets.gate_service")) -> GateAnswer:
    """Evaluate in a process that is ended, with all it started, when this call is cancelled. Raises BadRequest, EvaluationFailed."""
    write_job(job, job.file)
    environment = {name: value for name, value in os.environ.items() if name != KEY}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *module, str(job.file), stdin=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        code = await process.wait()
        if code == 0:
            return GateAnswer.model_validate_json(job.answer.read_bytes())
        said = last_words(job.file)
        if said and code == 2:
            raise BadRequest(said)
        raise EvaluationFailed(said or f"its process ended with exit code {code}: see the service's log")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the whole group, also what the process started
        await asyncio.shield(process.wait())
        for folder in job.work.parent.glob(f"*{job.id}*"):
            shutil.rmtree(folder, ignore_errors=True)
