"""What the end of a training process means, wherever it ran."""

from pydantic import ValidationError

from ftassets.backends.artifacts.version_folder import VersionDamaged, read_manifest
from ftassets.backends.trainer.base import TrainingFailed, TrainingKilled, TrainingTerminated
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.workers.process import Ended


def result_of(job: TrainingJob, ended: Ended) -> TrainingResult:
    """The result a process reported, taken at its word only when the version it names is there. Raises TrainingFailed."""
    if ended.code != 0:
        if ended.terminated:
            raise TrainingTerminated(ended.said or "the training process was stopped from outside")
        raise (TrainingKilled if ended.killed or _out_of_memory(ended) else TrainingFailed)(_why(ended, job))
    try:
        result = TrainingResult.model_validate(ended.messages[-1])
        read_manifest(job.versions / result.digest)
    except IndexError:
        raise TrainingFailed("the training process ended well but reported no result: read the run's compute logs") from None
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in error.errors()}))
        raise TrainingFailed(f"the training process reported an incomplete result (missing or wrong: {fields})") from error
    except VersionDamaged as error:
        raise TrainingFailed(f"the training process reported a version that is not there: {error}") from error
    return result


def _why(ended: Ended, job: TrainingJob) -> str:
    if ended.killed or _out_of_memory(ended):
        kept = job.train.batch_size * job.train.gradient_accumulation_steps
        smaller = min(2, max(1, job.train.batch_size // 2))
        advice = (
            f"set train.batch_size to {smaller} and train.gradient_accumulation_steps to {-(-kept // smaller)}, or lower train.max_length"
        )
        what = "ran out of memory" if _out_of_memory(ended) else "was killed, most likely because memory ran out"
        return f"the training process {what}: {advice}"
    return ended.said or f"the training process ended with exit code {ended.code} without a message: read the run's compute logs"


def _out_of_memory(ended: Ended) -> bool:
    return ended.said is not None and "out of memory" in ended.said.lower()
