"""The process of one evaluation: `python -m ftassets.gate_service JOB.json`."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.gate_service.__main__")

import sys
import time
import traceback
from pathlib import Path
from typing import Any

from ftassets.assets._shared.failures import OVER_BUDGET
from ftassets.assets._shared.metered import measured
from ftassets.assets._shared.run_in_memory import in_a_run
from ftassets.backends.control.spending import budget_now
from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.config.home import Home
from ftassets.config.profiles import backends
from ftassets.durable import write_durably
from ftassets.exits import ending
from ftassets.gate_service.contract import BadRequest, EvaluationJob, GateAnswer
from ftassets.gate_service.evaluation import evaluate
from ftassets.workers.process import die_with_parent, failure_file, read_job

BAD_REQUEST = 2  # exit code
NODE = "gate_service"  # under which name it is recorded what an evaluation used


def work_off(job_file: Path) -> int:
    """Write the answer next to the job. Exit code 0, BAD_REQUEST, or 1; the last two write a sentence into the failure file
    when there is a job file."""
    die_with_parent()
    try:
        job = read_job(job_file, EvaluationJob)
        home = Home(job.home)
        made = backends(home)
        names = ("artifacts", "control", "dataset_store", "evaluator", "serving")
        artifacts, control, store, evaluator, serving = (made[name]() for name in names)

        def measured_evaluation(context: Any) -> GateAnswer:
            with measured(control, job.loop.name, NODE, context):
                if (found := budget_now(control, job.loop, (NODE,), time.time())) and found.why:
                    raise EvaluationFailed(f"{OVER_BUDGET}: {found.why}")
                return evaluate(job, home, artifacts, control, store, evaluator, serving, context)

        answer = in_a_run(job.id, measured_evaluation)
        write_durably(job.answer, answer.model_dump_json())
    except BadRequest as error:
        write_durably(failure_file(job_file), str(error))
        return BAD_REQUEST
    except Exception as error:
        found = ending(error)
        if found.bug:
            traceback.print_exc()
        print(f"failed: {found.sentence}", file=sys.stderr)
        if job_file.is_file():
            write_durably(failure_file(job_file), found.sentence)
        return found.code
    return 0


def main() -> int:
    """Do the job of the file that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.gate_service JOB.json")
    return work_off(Path(sys.argv[1]))
