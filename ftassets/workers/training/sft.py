"""One training of a loop, by any method and objective: from rows to a published version with the copy that is served."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.version_folder import MANIFEST, file_digests, publish_below
from ftassets.backends.trainer.checkpoints import key_of
from ftassets.backends.trainer.stored_checkpoints import newest_anywhere, store_checkpoint
from ftassets.code_identity import code_identity
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.domain.canonical import canonical_json
from ftassets.domain.chat import Asked, chat
from ftassets.domain.release.adoption import AdoptionJob
from ftassets.domain.release.version import MADE_FOR, MERGED, VersionManifest, tokenizer_digest
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.domain.training.left_out import TaughtRows, left_out_objection
from ftassets.domain.training.libraries import libraries_objection
from ftassets.domain.training.overfit import kept_loss
from ftassets.domain.training.recipe import recipe, same_steps
from ftassets.domain.training.rows import lineage_of
from ftassets.durable import file_digest
from ftassets.errors import in_one_line
from ftassets.wording import amount
from ftassets.workers.chat_template import prompt_ids
from ftassets.workers.number_format import answer_dtype, computes_bf16
from ftassets.workers.process import Report
from ftassets.workers.training.base_models import ensure_base
from ftassets.workers.training.environment import environment
from ftassets.workers.training.loss import plain
from ftassets.workers.training.merging import agreement, compared, likely_tokens, merged_tokens
from ftassets.workers.training.methods import METHODS
from ftassets.workers.training.methods.base import Method
from ftassets.workers.training.need import fit, libraries
from ftassets.workers.training.objectives import Objective, objectives_of
from ftassets.workers.training.points import tracking
from ftassets.workers.training.replicas import Member
from ftassets.workers.training.steps import Progress, Steps, run_steps


def train(job: TrainingJob, report: Report, cores: int = 1, stop_asked: Callable[[], bool] = lambda: False) -> TrainingResult:
    """Fine-tune, merge, reload, publish below `job.versions`; from the checkpoint of the same training if there is one.

    With more than one core and no GPU, forked replicas share the batches: not for a process that has threads.

    Raises TrainingStopped (loss guard, nothing to train, an adapter that does not fit), BaseModelMissing, and Terminated with a
    checkpoint written once `stop_asked` returns true.
    """
    base_digest = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    result = train_on_base(job, base_digest, report, cores, stop_asked)
    assert result is not None
    return result


@dataclass
class Learnt:
    """A model as its training left it, with what it was trained and validated on, and how."""

    job: TrainingJob
    method: Method
    model: Any
    tokenizer: Any
    rows: Objective
    validation: Objective
    bf16: bool
    trainable: int
    lineage: str
    progress: Progress
    processes: int


def learn(
    job: TrainingJob,
    base_digest: str,
    report: Report,
    cores: int = 1,
    stop_asked: Callable[[], bool] = lambda: False,
    member: Member | None = None,
    keep: Callable[[Path], None] = lambda _: None,
    measured: Callable[[float, float], None] = lambda share, loss: None,
) -> Learnt | None:
    """Train on a base that is below `job.versions`; of several machines None in all but the first. Nothing is published.

    `member`: the place of this process among those of other machines, which are connected already; they share the batches. `keep` gets
    each complete checkpoint, after the artefact store, and `measured` each validation loss with the share of the steps that are done.
    Raises what `train` does.
    """
    import torch
    from transformers import set_seed

    if why := libraries_objection(libraries(), job.train.method):
        raise TrainingStopped(why)
    job, lineage, before = started(job, base_digest)
    method = METHODS[job.train.method](job.train, job.versions / base_digest / MERGED, job.base_model, job.start_from)
    if job.align is None and (differs := method.refusal(before)):
        raise TrainingStopped(f"production's adapter has {differs}: set it back, or adopt a base without it")
    if job.align is not None and job.start_from is None:
        raise TrainingStopped("the base model is no longer the one that the adapter was trained on: materialize adapter again")
    if not job.train_file.stat().st_size:
        raise TrainingStopped(f"{job.train_file.name} has no rows: the dataset's train split is empty")
    tokenizer = method.tokenizer()
    rows, validation = objectives_of(tokenizer, job, report)
    if why := left_out_objection(TaughtRows(range(len(rows)), rows.left_out), job.train.max_left_out):
        raise TrainingStopped(why)
    bf16 = computes_bf16()
    fitted = fit(job.train, method.base, rows, validation, bf16, cores, job.versions, report, member.count if member else 1)
    job = job.model_copy(update={"train": fitted.train})
    set_seed(job.train.seed)
    model = method.model(tokenizer, torch.bfloat16 if bf16 else torch.float32)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if trainable == 0:
        raise TrainingStopped("the model has no trainable parameters: the adapter was loaded frozen or has no target modules")
    report(f"training on {amount(len(rows), rows.unit)}, {trainable / 1e6:.2f}M parameters, {'bf16' if bf16 else 'fp32'}, {lineage}")

    key = training_key(job, base_digest)
    artifacts = profiles.artifacts(Home(job.home))
    resume = newest_anywhere(artifacts, job.loop, key, job.checkpoints)
    if resume:
        report(f"going on from the checkpoint of step {resume.step}")
    for each in (rows, validation):
        each.prepare(model, bf16, report)

    def keep_twice(checkpoint: Path) -> None:
        try:
            store_checkpoint(artifacts, job.loop, checkpoint)
        except OSError as error:  # the training is worth more than its copy, and the next checkpoint is stored with all that this one has
            report(f"the checkpoint {checkpoint.name} is on this machine only, the artefact store did not take it: {in_one_line(error)}")
        keep(checkpoint)

    track = tracking(job.points_file)
    steps = Steps(job, model, tokenizer, rows, validation, bf16, key, report, stop_asked, track, keep_twice, measured)
    progress = run_steps(steps, fitted.processes, resume, member)
    if member and member.rank:
        return None
    return Learnt(job, method, model, tokenizer, rows, validation, bf16, trainable, lineage, progress, fitted.processes)


def train_on_base(
    job: TrainingJob,
    base_digest: str,
    report: Report,
    cores: int = 1,
    stop_asked: Callable[[], bool] = lambda: False,
    member: Member | None = None,
    keep: Callable[[Path], None] = lambda _: None,
) -> TrainingResult | None:
    """`learn`, and merge, reload and publish what was learnt below `job.versions`."""
    learnt = learn(job, base_digest, report, cores, stop_asked, member, keep)
    return None if learnt is None else _published(learnt, base_digest, report)


def _published(learnt: Learnt, base_digest: str, report: Report) -> TrainingResult:
    job, method, model, bf16, progress = learnt.job, learnt.method, learnt.model, learnt.bf16, learnt.progress
    rows, validation = learnt.rows, learnt.validation
    losses, seconds = progress.losses, progress.seconds
    validation_loss = kept_loss(progress.validation, job.train.early_stopping_patience)
    report(f"trained {amount(len(losses), 'step')} in {seconds:.0f} s, last loss {losses[-1]:.3f}; merging and reloading")

    staging = job.work / "version"
    shutil.rmtree(staging, ignore_errors=True)
    sample = compared(validation.texts or rows.texts)
    as_trained = likely_tokens(plain(model), sample, bf16)
    method.save(model, learnt.tokenizer, staging)
    learnt.model = model = None  # its memory is needed by the merge
    method.merge(staging)
    agreed = agreement(as_trained, merged_tokens(staging / MERGED, sample))
    report(f"the merged copy in bf16 finds {agreed:.1%} of {amount(len(as_trained), 'token')} most likely that the trained model does")
    return publish_training(
        job,
        staging,
        method.kind,
        base_digest,
        learnt.lineage,
        rows=len(rows),
        left_out=rows.left_out,
        trainable_parameters=learnt.trainable,
        seconds=seconds,
        tokens_per_second=progress.tokens / seconds,
        losses=list(enumerate(losses, start=1)),
        validation_losses=progress.validation,
        validation_loss=validation_loss,
        resumed_at=progress.resumed_at,
        merged_agreement=agreed,
        environment=environment(learnt.processes, "bf16" if bf16 else "fp32"),
    )


def training_key(job: TrainingJob, base_digest: str) -> str:
    """Names this training among all whose checkpoints may be found."""
    return key_of(
        {
            "code": code_identity()["code_digest"],
            "base": base_digest,
            "rows": [file_digest(job.train_file), file_digest(job.validation_file)],
            "recipe": same_steps(job.task, job.train, job.parent, job.alignment),
        }
    )


def started(job: TrainingJob, base_digest: str) -> tuple[TrainingJob, str, Mapping[str, Any]]:
    """The job to run, the new version's lineage, and the settings of the version it continues from, empty if they are not known.

    Training never continues from an adapter of another base.
    """
    if job.start_from is None:
        lineage = lineage_of(None, None, (job.base_model, base_digest))[1]
        return job, f"{lineage} ({job.not_continued})" if job.not_continued else lineage, {}
    before: tuple[str, str | None] | None = None
    settings: Mapping[str, Any] = {}
    manifest_file = job.start_from.parent / MANIFEST
    if manifest_file.exists():
        manifest = VersionManifest.parse(manifest_file.read_bytes())
        before, settings = (manifest.base_model, manifest.base_digest), manifest.training
    goes_on, lineage = lineage_of(job.parent, before, (job.base_model, base_digest))
    if not goes_on:
        return job.model_copy(update={"start_from": None, "train_file": job.cold_file or job.train_file}), lineage, {}
    if job.align is not None:
        lineage = f"trained on preferences by {job.align.method} from {job.parent}"
    return job, lineage, settings


def publish_training(
    job: TrainingJob,
    staging: Path,
    kind: str,
    base_digest: str,
    lineage: str,
    *,
    rows: int,
    left_out: Mapping[str, int] | None = None,
    trainable_parameters: int,
    seconds: float,
    tokens_per_second: float | None,
    losses: list[tuple[int, float]],
    validation_losses: list[tuple[int, float]],
    validation_loss: float | None,
    resumed_at: Sequence[int] = (),
    merged_agreement: float | None = None,
    environment: Mapping[str, str],
) -> TrainingResult:
    """Publish the version of a kind in `staging`, with what is known of its training. Raises TrainingStopped."""
    known = {
        "train_seconds": seconds,
        "tokens_per_second": tokens_per_second,
        "first_loss": losses[0][1],
        "last_loss": losses[-1][1],
        "validation_loss": validation_loss,
    }
    digest = publish_version(
        job,
        staging,
        kind,
        base_digest,
        dataset_commit=job.dataset_commit,
        dataset_hash=job.dataset_hash,
        lineage=lineage,
        code_commit=code_identity()["code_commit"],
        recipe=recipe(job.task, job.train, job.parent, job.alignment),
        metrics={name: value for name, value in known.items() if value is not None},
        environment=dict(environment),
    )
    return TrainingResult(
        digest=digest,
        base_digest=base_digest,
        steps=losses[-1][0],
        rows=rows,
        left_out=dict(left_out or {}),
        train_seconds=seconds,
        tokens_per_second=tokens_per_second,
        trainable_parameters=trainable_parameters,
        first_loss=losses[0][1],
        last_loss=losses[-1][1],
        validation_loss=validation_loss,
        losses=losses,
        validation_losses=validation_losses,
        resumed_at=list(resumed_at),
        merged_agreement=merged_agreement,
        start_from=job.parent,
        lineage=lineage,
    )


def publish_version(job: TrainingJob | AdoptionJob, staging: Path, kind: str, base_digest: str, **known: Any) -> str:
    """Reload the merged copy in `staging`, and publish the whole folder; returns the version's digest.

    `known` are fields of its manifest that the job does not give. Raises TrainingStopped.
    """
    _prove_it_loads(staging / MERGED)
    generation: dict[str, float | int] = {"temperature": job.task.temperature, "max_tokens": job.task.max_tokens}
    # the same weights made for another loop, or to be served otherwise, are another version: a manifest tells of one
    (staging / MADE_FOR).write_bytes(canonical_json({"loop": job.loop, "generation": generation}))
    files = file_digests(staging)
    manifest = VersionManifest(
        kind=kind,
        base_model=job.base_model,
        base_digest=base_digest,
        files=files,
        tokenizer_digest=tokenizer_digest(files),
        generation=generation,
        loop=job.loop,
        made_at=time.time(),
        **known,
    )
    return publish_below(job.versions, staging, manifest)


def _prove_it_loads(folder: Path) -> None:
    """Load the copy that will be served and let it write one token. Raises TrainingStopped."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=answer_dtype(), use_safetensors=True, trust_remote_code=False)
    tokens = torch.tensor([prompt_ids(tokenizer, chat("", Asked.of("hello")))])
    with torch.inference_mode():
        if model(input_ids=tokens).logits.float().log_softmax(-1).isnan().any():
            raise TrainingStopped("the merged copy's probabilities are not numbers: its weights overflow; lower train.learning_rate")
        written = model.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=1, do_sample=False)
    if written.shape[1] <= tokens.shape[1]:
        raise TrainingStopped("the merged copy was reloaded but generates nothing")
