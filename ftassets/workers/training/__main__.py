"""Run one training job in a process of its own: `python -m ftassets.workers.training JOB.json`."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.workers.training.__main__")

import sys
from pathlib import Path

from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob
from ftassets.durable import disk_is_full
from ftassets.errors import in_one_line
from ftassets.workers.process import Report, cores, import_libraries, terminations, work_off
from ftassets.workers.training.own_command import train_by_command
from ftassets.workers.training.sft import train


def _train(job: TrainingJob, report: Report) -> dict:
    with terminations() as stop_asked:
        try:
            if job.train.command:
                return train_by_command(job, report, stop_asked).model_dump(mode="json")
            import_libraries("trl.trainer.sft_trainer")
            return train(job, report, cores(), stop_asked).model_dump(mode="json")
        except Exception as error:
            if disk_is_full(error):
                raise TrainingStopped(
                    f"the disk is full ({in_one_line(error)[:200]}): make room below {job.versions.parent} and start the run again, it "
                    "resumes from its last whole checkpoint"
                ) from error
            raise


def main() -> int:
    """Do the job of the file that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.workers.training JOB.json")
    return work_off(Path(sys.argv[1]), TrainingJob, _train)
