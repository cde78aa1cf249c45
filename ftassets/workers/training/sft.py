"""LoRA and QLoRA fine-tuning of one loop: from rows to a published version with adapter and merged weights."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.version_folder import MANIFEST, file_digests, publish_below
from ftassets.backends.trainer.checkpoints import key_of, newest
from ftassets.code_identity import code_identity
from ftassets.config.home import Home
from ftassets.config.loop import Train
from ftassets.domain.chat import Asked, chat
from ftassets.domain.dataset.rows import Example
from ftassets.domain.release.adoption import AdoptionJob
from ftassets.domain.release.version import ADAPTER, MERGED, VersionManifest, tokenizer_digest
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.domain.training.overfit import kept_loss
from ftassets.domain.training.recipe import recipe, same_steps
from ftassets.domain.training.rows import lineage_of
from ftassets.durable import file_digest
from ftassets.wording import amount
from ftassets.workers.chat_template import NoTemplate, Taught, prompt_ids, taught
from ftassets.workers.process import Report
from ftassets.workers.training import replicas
from ftassets.workers.training.attention import attention_layers
from ftassets.workers.training.base_models import copy_tokenizer, ensure_base, name_stops
from ftassets.workers.training.steps import Steps, run_steps


def train(job: TrainingJob, report: Report, cores: int = 1, stop_asked: Callable[[], bool] = lambda: False) -> TrainingResult:
    """Fine-tune, merge, reload, publish below `job.versions`; from the checkpoint of the same training if there is one.

    With more than one core and no GPU, forked replicas share the batches: not for a process that has threads.

    Raises TrainingStopped (loss guard, nothing to train, an adapter that does not fit), BaseModelMissing, and Terminated with a
    checkpoint written once `stop_asked` returns true.
    """
    import torch
    from transformers import AutoTokenizer, set_seed

    base_digest = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    base = job.versions / base_digest / MERGED
    job, lineage, before = started(job, base_digest)
    if job.start_from and (differs := _another_shape(job.train, json.loads((job.start_from / "adapter_config.json").read_text()), before)):
        raise TrainingStopped(f"production's adapter has {differs}: set it back, or adopt a base without it")
    if not job.train_file.stat().st_size:
        raise TrainingStopped(f"{job.train_file.name} has no rows: the dataset's train split is empty")
    set_seed(job.train.seed)
    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    rows = _tokens(tokenizer, read_rows(job.train_file), job, report)
    validation = _tokens(tokenizer, read_rows(job.validation_file), job, report)
    if not rows:
        raise TrainingStopped("none of the rows can be taught: raise train.max_length above the longest, or shorten the rows")
    bf16 = computes_bf16()
    model = _model(job, base, torch.bfloat16 if bf16 else torch.float32)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if trainable == 0:
        raise TrainingStopped("the model has no trainable parameters: the adapter was loaded frozen or has no target modules")
    report(f"training on {amount(len(rows), 'row')}, {trainable / 1e6:.2f}M parameters, {'bf16' if bf16 else 'fp32'}, {lineage}")

    key = _key(job, base_digest)
    resume = newest(job.checkpoints, key)
    if resume:
        report(f"going on from the checkpoint of step {resume.step}")
    count = 1 if torch.cuda.is_available() else replicas.fitting(job.train.batch_size, min(cores, len(rows)))
    progress = run_steps(Steps(job, model, tokenizer, rows, validation, bf16, key, report, stop_asked), count, resume)
    losses, seconds = progress.losses, progress.seconds
    validation_loss = kept_loss(progress.validation, job.train.early_stopping_patience)
    report(f"trained {amount(len(losses), 'step')} in {seconds:.0f} s, last loss {losses[-1]:.3f}; merging and reloading")

    staging = job.work / "version"
    shutil.rmtree(staging, ignore_errors=True)
    _save_adapter(model, job, staging / ADAPTER)
    del model
    return publish_training(
        job,
        staging,
        base_digest,
        lineage,
        rows=len(rows),
        trainable_parameters=trainable,
        seconds=seconds,
        tokens_per_second=progress.tokens / seconds,
        losses=list(enumerate(losses, start=1)),
        validation_losses=progress.validation,
        validation_loss=validation_loss,
        resumed_at=progress.resumed_at,
    )


def _key(job: TrainingJob, base_digest: str) -> str:
    """Names this training among all whose checkpoints may be found."""
    return key_of(
        {
            "code": code_identity()["code_digest"],
            "base": base_digest,
            "rows": [file_digest(job.train_file), file_digest(job.validation_file)],
            "recipe": same_steps(job.task, job.train, job.parent),
        }
    )


def computes_bf16() -> bool:
    """Whether this machine multiplies bf16 faster than fp32."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))


def read_rows(path: Path) -> Iterator[Example]:
    """The rows of a file, one after the other: tokens take a fraction of the memory that rows do."""
    with path.open("rb") as lines:
        for line in lines:
            yield Example.model_validate_json(line)


def started(job: TrainingJob, base_digest: str) -> tuple[TrainingJob, str, Mapping[str, Any]]:
    """The job to run, the new version's lineage, and the settings of the version it continues from, empty if they are not known.

    Training never continues from an adapter of another base.
    """
    if job.start_from is None:
        return job, lineage_of(None, None, (job.base_model, base_digest))[1], {}
    before: tuple[str, str | None] | None = None
    settings: Mapping[str, Any] = {}
    manifest_file = job.start_from.parent / MANIFEST
    if manifest_file.exists():
        manifest = VersionManifest.parse(manifest_file.read_bytes())
        before, settings = (manifest.base_model, manifest.base_digest), manifest.training
    goes_on, lineage = lineage_of(job.parent, before, (job.base_model, base_digest))
    if not goes_on:
        return job.model_copy(update={"start_from": None, "train_file": job.cold_file or job.train_file}), lineage, {}
    return job, lineage, settings


def _another_shape(train: Train, config: Mapping[str, Any], recipe: Mapping[str, Any]) -> str | None:
    """What of an adapter's shape is not as `train` asks; `recipe` is that of its training, empty for one trained elsewhere."""
    asked: dict[str, Any] = {
        "lora_r": train.lora_r,
        "lora_alpha": train.lora_alpha,
        "use_rslora": train.use_rslora,
        "use_dora": train.use_dora,
    }
    found = {name: config.get(name.replace("lora_r", "r"), False) for name in asked}
    if "target_modules" in recipe:
        asked["target_modules"], found["target_modules"] = train.target_modules, recipe["target_modules"]
    return next((f"{name} {found[name]}, and train asks for {value}" for name, value in asked.items() if found[name] != value), None)


def _model(job: TrainingJob, base: Path, dtype: Any) -> Any:
    """The base with a trainable adapter on it: a new one, or the one to go on from."""
    import torch
    from peft import PeftModel, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantization = None
    if job.train.method == "qlora":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    # on CPU the backward pass of sdpa takes half as long as all matrix products together
    attention = "sdpa" if torch.cuda.is_available() else "eager"
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=dtype, quantization_config=quantization, attn_implementation=attention, use_safetensors=True, trust_remote_code=False
    )
    if quantization:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if job.start_from:
        return PeftModel.from_pretrained(model, job.start_from, is_trainable=True)
    return get_peft_model(model, adapter_config(job.train, model))


def adapter_config(train: Train, model: Any) -> Any:
    """The LoRA adapter that training puts on this base. Raises TrainingStopped for attention layers of a model that names none so."""
    from peft import LoraConfig

    return LoraConfig(
        r=train.lora_r,
        lora_alpha=train.lora_alpha,
        lora_dropout=train.lora_dropout,
        target_modules=attention_layers(model) if train.target_modules == "attention" else train.target_modules,
        use_rslora=train.use_rslora,
        use_dora=train.use_dora,
        task_type="CAUSAL_LM",
    )


def _tokens(tokenizer: Any, rows: Iterable[Example], job: TrainingJob, report: Report) -> list[Taught]:
    """The rows that the template takes, with at most `max_length` tokens; a message counts the others."""
    kept, refused = [], Counter[str]()
    total = 0
    for row in rows:
        total += 1
        try:
            tokens = taught(tokenizer, job.task.system_prompt, row, row.completion)
        except NoTemplate as error:
            refused[str(error)] += 1
            continue
        if len(tokens.ids) > job.train.max_length:
            refused[f"more than max_length {amount(job.train.max_length, 'token')}, cut they would teach half an answer"] += 1
        else:
            kept.append(tokens)
    for reason, count in refused.items():
        report(f"{count} of {amount(total, 'row is', 'rows are')} left out: {reason}")
    return kept


def _save_adapter(model: Any, job: TrainingJob, target: Path) -> None:
    # the base by its name, not by where it lies here: the config is part of the version's identity
    config = model.peft_config["default"]
    config.base_model_name_or_path = job.base_model
    config.target_modules = sorted(config.target_modules)  # a set, written in another order by each process
    model.save_pretrained(target, safe_serialization=True, save_embedding_layers=False)
    (target / "README.md").unlink(missing_ok=True)


def publish_training(
    job: TrainingJob,
    staging: Path,
    base_digest: str,
    lineage: str,
    *,
    rows: int,
    trainable_parameters: int,
    seconds: float,
    tokens_per_second: float | None,
    losses: list[tuple[int, float]],
    validation_losses: list[tuple[int, float]],
    validation_loss: float | None,
    resumed_at: Sequence[int] = (),
) -> TrainingResult:
    """Merge and publish the adapter in `staging`, with what is known of its training. Raises TrainingStopped."""
    known = {
        "train_seconds": seconds,
        "tokens_per_second": tokens_per_second,
        "first_loss": losses[0][1],
        "last_loss": losses[-1][1],
        "validation_loss": validation_loss,
    }
    digest = publish_merged(
        job,
        staging,
        base_digest,
        dataset_commit=job.dataset_commit,
        dataset_hash=job.dataset_hash,
        lineage=lineage,
        code_commit=code_identity()["code_commit"],
        recipe=recipe(job.task, job.train, job.parent),
        metrics={name: value for name, value in known.items() if value is not None},
    )
    return TrainingResult(
        digest=digest,
        base_digest=base_digest,
        steps=losses[-1][0],
        rows=rows,
        train_seconds=seconds,
        tokens_per_second=tokens_per_second,
        trainable_parameters=trainable_parameters,
        first_loss=losses[0][1],
        last_loss=losses[-1][1],
        validation_loss=validation_loss,
        losses=losses,
        validation_losses=validation_losses,
        resumed_at=list(resumed_at),
        start_from=job.parent,
        lineage=lineage,
    )


def publish_merged(job: TrainingJob | AdoptionJob, staging: Path, base_digest: str, **known: Any) -> str:
    """Merge the adapter in `staging` into its base, reload what came of it, and publish both; returns the version's digest.

    `known` are fields of its manifest that the job does not give. Raises TrainingStopped.
    """
    _merge(job.versions / base_digest / MERGED, staging / ADAPTER, staging / MERGED)
    _prove_it_loads(staging / MERGED)
    files = file_digests(staging)
    manifest = VersionManifest(
        kind="adapter",
        base_model=job.base_model,
        base_digest=base_digest,
        files=files,
        tokenizer_digest=tokenizer_digest(files),
        generation={"temperature": job.task.temperature, "max_tokens": job.task.max_tokens},
        loop=job.loop,
        made_at=time.time(),
        **known,
    )
    return publish_below(job.versions, staging, manifest)


def _merge(base: Path, adapter: Path, target: Path) -> None:
    """Write base plus adapter as bf16 weights. Also after QLoRA into the full base: the 4-bit copy would lose precision."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.config._name_or_path = ""
    name_stops(merged, AutoTokenizer.from_pretrained(base, trust_remote_code=False))
    merged.save_pretrained(target)
    copy_tokenizer(base, target)


def _prove_it_loads(folder: Path) -> None:
    """Load the copy that will be served and let it write one token. Raises TrainingStopped."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False)
    tokens = torch.tensor([prompt_ids(tokenizer, chat("", Asked.of("hello")))])
    with torch.inference_mode():
        written = model.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=1, do_sample=False)
    if written.shape[1] <= tokens.shape[1]:
        raise TrainingStopped("the merged copy was reloaded but generates nothing")
