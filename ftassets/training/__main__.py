"""Run one training job in a process of its own: `python -m ftassets.training JOB.json`."""

import sys
from pathlib import Path

from ftassets.domain.training import TrainingJob
from ftassets.resources.base_models import BaseModelMissing
from ftassets.resources.child import Report, cores, work_off
from ftassets.training.guard import TrainingStopped
from ftassets.training.sft import train


def _train(job: TrainingJob, report: Report) -> dict:
    return train(job, report, cores()).model_dump(mode="json")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.training JOB.json")
    sys.exit(work_off(Path(sys.argv[1]), TrainingJob, _train, (TrainingStopped, BaseModelMissing)))
