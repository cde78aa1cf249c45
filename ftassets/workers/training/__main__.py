"""Run one training job in a process of its own: `python -m ftassets.workers.training JOB.json`."""

import sys
from pathlib import Path

from ftassets.domain.training.job import TrainingJob
from ftassets.workers.process import Report, cores, work_off
from ftassets.workers.training.sft import train


def _train(job: TrainingJob, report: Report) -> dict:
    return train(job, report, cores()).model_dump(mode="json")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.workers.training JOB.json")
    sys.exit(work_off(Path(sys.argv[1]), TrainingJob, _train))
