"""Run one answer, perplexity, metrics or parity job in a process of its own: `python -m ftassets.workers.evaluation JOB.json`."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.workers.evaluation.__main__")

import os
import sys
from pathlib import Path

from pydantic import RootModel

from ftassets.domain.evaluation.jobs import AnswerJob, MetricsJob, PerplexityJob
from ftassets.domain.evaluation.parity import ParityJob
from ftassets.workers.evaluation.forgetting import measure_forgetting
from ftassets.workers.evaluation.generate import answer
from ftassets.workers.evaluation.likelihood import measure_likelihoods
from ftassets.workers.evaluation.measure import measure
from ftassets.workers.evaluation.parity import compare
from ftassets.workers.process import Report, cores, import_libraries, work_off


class _Job(RootModel[AnswerJob | PerplexityJob | MetricsJob | ParityJob]):
    pass


def _do(job: _Job, report: Report) -> dict:
    if not isinstance(job.root, MetricsJob):
        import_libraries("transformers.modeling_utils")
    if isinstance(job.root, AnswerJob):
        answer(job.root, report, cores())
        if job.root.forgetting:
            measure_forgetting(job.root.forgetting, report, cores())
        return {"outputs": [str(ask.output) for ask in job.root.asks]}
    if isinstance(job.root, PerplexityJob):
        measure_likelihoods(job.root, report, cores())
        return {"outputs": [str(each.output) for each in job.root.likelihoods]}
    if isinstance(job.root, MetricsJob):
        measure(job.root, report)
    else:
        compare(job.root, report)
    return {"outputs": [str(job.root.output)]}


def main() -> int:
    """Do the job of the file that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.workers.evaluation JOB.json")
    job_file = Path(sys.argv[1])
    # before the libraries that read them come in: models come from folders, and the user's home stays as it is
    os.environ |= {"HF_HOME": str(job_file.parent / "huggingface"), "MPLCONFIGDIR": str(job_file.parent / "matplotlib")}
    return work_off(job_file, _Job, _do)
