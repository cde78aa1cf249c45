"""Run one answer job in a process of its own: `python -m ftassets.evaluation JOB.json`."""

import sys
import traceback
from pathlib import Path

from ftassets.domain.answers import AnswerJob
from ftassets.evaluation.generate import answer
from ftassets.resources.child import cores, die_with_parent, failure_file, quiet_libraries, reporting, write_atomically


def main(job_file: Path) -> int:
    """Exit code: 0 when every output file is there, 1 with a sentence in the failure file."""
    die_with_parent()
    with reporting() as (report, deliver):
        try:
            job = AnswerJob.model_validate_json(job_file.read_bytes())
            quiet_libraries()
            answer(job, report, cores())
            deliver({"outputs": [str(ask.output) for ask in job.asks]})
        except Exception as error:
            traceback.print_exc()
            write_atomically(failure_file(job_file), f"{type(error).__name__}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.evaluation JOB.json")
    sys.exit(main(Path(sys.argv[1])))
