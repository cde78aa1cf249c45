"""Run one training job in a process of its own: `python -m ftassets.training JOB.json`."""

import sys
import traceback
from pathlib import Path

from ftassets.domain.training import TrainingJob
from ftassets.resources.base_models import BaseModelMissing
from ftassets.resources.child import cores, die_with_parent, failure_file, quiet_libraries, reporting, write_atomically
from ftassets.training.guard import TrainingStopped
from ftassets.training.sft import train


def main(job_file: Path) -> int:
    """Exit code: 0 with a result, 2 with a sentence in the failure file, 1 for anything unforeseen."""
    die_with_parent()
    with reporting() as (report, deliver):
        try:
            job = TrainingJob.model_validate_json(job_file.read_bytes())
            quiet_libraries()
            deliver(train(job, report, cores()).model_dump(mode="json"))
        except (TrainingStopped, BaseModelMissing) as error:
            write_atomically(failure_file(job_file), str(error))
            print(f"training failed: {error}", file=sys.stderr)
            return 2
        except Exception as error:
            traceback.print_exc()
            write_atomically(failure_file(job_file), f"{type(error).__name__}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.training JOB.json")
    sys.exit(main(Path(sys.argv[1])))
