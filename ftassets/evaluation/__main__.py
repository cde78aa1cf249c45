"""Run one answer job in a process of its own: `python -m ftassets.evaluation JOB.json`."""

import sys
from pathlib import Path

from ftassets.domain.answers import AnswerJob
from ftassets.evaluation.generate import answer
from ftassets.resources.child import Report, cores, work_off


def _answer(job: AnswerJob, report: Report) -> dict:
    answer(job, report, cores())
    return {"outputs": [str(ask.output) for ask in job.asks]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.evaluation JOB.json")
    sys.exit(work_off(Path(sys.argv[1]), AnswerJob, _answer))
