"""One evaluation at a time, each in a process of its own that ends with its time, with its last caller or with the service."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.errors import FtassetsError
from ftassets.gate_service.contract import BadRequest, EvaluationJob, GateAnswer
from ftassets.wording import amount
from ftassets.workers.process import last_words, write_job

LIMIT = 600.0  # seconds a request may take, its wait included
WAITING = 8  # evaluations that may wait
CALLERS = 64  # that may wait for them: equal requests share one
KEY = "FTASSETS_GATE_KEY"

Run = Callable[[EvaluationJob], Awaitable[GateAnswer]]


class QueueFull(FtassetsError):
    """The queue has reached its maximum length."""


@dataclass
class _Evaluation:
    """One evaluation, under way or waiting, and how many callers wait for it."""

    task: asyncio.Task[GateAnswer] | None = None
    callers: int = 0
    begun: bool = False


class OutOfTime(FtassetsError):
    """The request exceeded its time limit; its process was ended."""


class Turns:
    """Evaluates one after the other, in the order they came; requests for the same share one evaluation.

    One without a caller left is taken out of the queue, or ended.
    """

    def __init__(self, run: Run, limit: float = LIMIT, waiting: int = WAITING, callers: int = CALLERS) -> None:
        self._run, self._limit, self._most, self._most_callers = run, limit, waiting + 1, callers
        self._turn = asyncio.Lock()
        self._evaluations: dict[str, _Evaluation] = {}

    async def evaluate(self, job: EvaluationJob) -> GateAnswer:
        """The answer to a job; cancelled, its caller has left. Raises QueueFull, OutOfTime, and what the run raises."""
        same = job.model_dump_json(exclude={"id"})
        found = self._evaluations.get(same)
        if found is None and len(self._evaluations) >= self._most:
            number = len(self._evaluations)
            raise QueueFull(f"{number} evaluations are under way or waiting, and one runs at a time: try again in some minutes")
        if sum(each.callers for each in self._evaluations.values()) >= self._most_callers:
            raise QueueFull(f"{amount(self._most_callers, 'request waits', 'requests wait')} for an answer: try again in some minutes")
        if found is None:
            found = self._evaluations[same] = _Evaluation()
            found.task = asyncio.create_task(self._in_turn(found, job))
            found.task.add_done_callback(lambda _: self._forget(same, found))
        assert found.task is not None
        found.callers += 1
        try:
            async with asyncio.timeout(self._limit):
                return await asyncio.shield(found.task)
        except TimeoutError as error:
            if not found.begun:
                what, advice = "its turn did not come", "ask again later"
            elif found.callers > 1:
                what, advice = "there is no answer yet", "others wait for the same evaluation, which continues: ask again"
            else:
                what, advice = "the evaluation was ended", "the answers it had finished are kept: ask again"
            raise OutOfTime(f"{what} after {self._limit:.0f} s; {advice}") from error
        finally:
            found.callers -= 1
            if not found.callers and not found.task.done():
                self._forget(same, found)  # whoever asks now gets an evaluation of its own
                found.task.cancel()
                await asyncio.wait({found.task})

    async def _in_turn(self, evaluation: _Evaluation, job: EvaluationJob) -> GateAnswer:
        async with self._turn:
            evaluation.begun = True
            return await self._run(job)

    def _forget(self, same: str, evaluation: _Evaluation) -> None:
        if self._evaluations.get(same) is evaluation:
            del self._evaluations[same]


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
        try:
            await asyncio.shield(process.wait())
        finally:  # a service that stops cancels the wait
            for folder in job.work.parent.glob(f"*{job.id}*"):
                shutil.rmtree(folder, ignore_errors=True)
