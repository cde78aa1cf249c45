"""What a training process is handed, and what its end means, wherever it ran."""

from pathlib import Path

from pydantic import ValidationError

from ftassets.domain.training import TrainingJob, TrainingResult
from ftassets.resources.child import Ended, failure_file
from ftassets.resources.files import write_durably
from ftassets.resources.trainer.base import TrainingFailed, TrainingKilled
from ftassets.resources.versions import VersionDamaged, load_manifest


def write_job(job: TrainingJob) -> Path:
    """Write the job beside its data, without the last words of an earlier attempt; the file's path."""
    job.work.mkdir(parents=True, exist_ok=True)
    job_file = job.work / "job.json"
    failure_file(job_file).unlink(missing_ok=True)
    write_durably(job_file, job.model_dump_json(indent=2))
    return job_file


def result_of(job: TrainingJob, ended: Ended) -> TrainingResult:
    """The result a process reported, taken at its word only when the version it names is there. Raises TrainingFailed."""
    if ended.code != 0:
        raise (TrainingKilled if ended.killed else TrainingFailed)(_why(ended, job))
    try:
        result = TrainingResult.model_validate(ended.messages[-1])
        load_manifest(job.versions, result.digest)
    except IndexError:
        raise TrainingFailed("the training process ended well but reported no result: look at the run's compute logs") from None
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in error.errors()}))
        raise TrainingFailed(f"the training process reported an incomplete result (missing or wrong: {fields})") from error
    except VersionDamaged as error:
        raise TrainingFailed(f"the training process reported a version that is not there: {error}") from error
    return result


def _why(ended: Ended, job: TrainingJob) -> str:
    out_of_memory = ended.said is not None and "out of memory" in ended.said.lower()
    if ended.killed or out_of_memory:
        kept = job.train.batch_size * job.train.accumulation
        smaller = min(2, max(1, job.train.batch_size // 2))
        advice = f"set train.batch_size to {smaller} and train.accumulation to {-(-kept // smaller)}, or lower train.max_length"
        what = "ran out of memory" if out_of_memory else "was killed, most likely because memory ran out"
        return f"the training process {what}: {advice}"
    return ended.said or f"the training process ended with exit code {ended.code} and said nothing: look at the run's compute logs"
