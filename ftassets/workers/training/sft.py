"""LoRA and QLoRA fine-tuning of one loop: from rows to a published version with adapter and merged weights."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ftassets.backends.artifacts.version_folder import MANIFEST, file_digests, publish_below
from ftassets.code_identity import code_identity
from ftassets.config.home import Home
from ftassets.config.loop import Train
from ftassets.domain.chat import Asked, chat
from ftassets.domain.dataset.rows import Example
from ftassets.domain.release.adoption import AdoptionJob
from ftassets.domain.release.version import ADAPTER, MERGED, VersionManifest, tokenizer_digest
from ftassets.domain.training.divergence import TrainingStopped, objection
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.domain.training.rows import lineage_of
from ftassets.workers.chat_template import NoTemplate, Taught, prompt_ids, taught
from ftassets.workers.process import Report
from ftassets.workers.training import replicas
from ftassets.workers.training.base_models import copy_tokenizer, ensure_base, name_stops
from ftassets.workers.training.loss import taught_loss

_SAY_EVERY = 5.0  # seconds between progress reports


def train(job: TrainingJob, report: Report, cores: int = 1) -> TrainingResult:
    """Fine-tune, merge, reload, publish below `job.versions`.

    With more than one core and no GPU, forked replicas share the batches: not for a process that has threads.

    Raises TrainingStopped (loss guard, nothing to train, an adapter that does not fit) and BaseModelMissing.
    """
    import torch
    from transformers import AutoTokenizer, set_seed

    base_digest = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    base = job.versions / base_digest / MERGED
    job, lineage = _started(job, base_digest)
    if not job.train_file.stat().st_size:
        raise TrainingStopped(f"{job.train_file.name} has no rows: the dataset's train split is empty")
    parent = job.start_from.parent.name if job.start_from else None
    set_seed(job.train.seed)
    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    rows = _tokens(tokenizer, _rows(job.train_file), job, report)
    validation = _tokens(tokenizer, _rows(job.validation_file), job, report)
    if not rows:
        raise TrainingStopped("none of the rows can be taught: raise train.max_length above the longest, or shorten the rows")
    bf16 = computes_bf16()
    model = _model(job, base, torch.bfloat16 if bf16 else torch.float32)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if trainable == 0:
        raise TrainingStopped("the model has no trainable parameters: the adapter was loaded frozen or has no target modules")
    report(f"training on {len(rows)} rows, {trainable / 1e6:.2f}M parameters, {'bf16' if bf16 else 'fp32'}, {lineage}")

    count = 1 if torch.cuda.is_available() else replicas.fitting(job.train.batch_size, min(cores, len(rows)))
    rank = replicas.fork(count)
    share = replicas.Share(len(rows), job.train.batch_size, rank, count, job.train.seed)
    trainer, losses = _trainer(job, model, tokenizer, rows, share, validation, bf16, count, report if rank == 0 else lambda _: None)
    started = time.monotonic()
    with replicas.joined(rank, count, job.work):
        trainer.train()
        tokens = replicas.total(trainer.state.num_input_tokens_seen)
    seconds = time.monotonic() - started
    validation_loss = trainer.evaluate()["eval_loss"] if validation else None
    report(f"trained {len(losses)} steps in {seconds:.0f} s, last loss {losses[-1]:.3f}; merging and reloading")

    staging = job.work / "version"
    shutil.rmtree(staging, ignore_errors=True)
    _save_adapter(model, job, staging / ADAPTER)
    del trainer, model
    metrics = {"train_seconds": seconds, "tokens_per_second": tokens / seconds, "first_loss": losses[0], "last_loss": losses[-1]}
    digest = publish_merged(
        job,
        staging,
        base_digest,
        dataset_commit=job.dataset_commit,
        dataset_hash=job.dataset_hash,
        lineage=lineage,
        code_commit=code_identity()["code_commit"],
        recipe={**job.train.model_dump(mode="json"), "system_prompt": job.task.system_prompt, "start_from": parent},
        metrics=metrics if validation_loss is None else {**metrics, "validation_loss": validation_loss},
    )
    return TrainingResult(
        digest=digest,
        base_digest=base_digest,
        steps=len(losses),
        rows=len(rows),
        train_seconds=seconds,
        tokens_per_second=tokens / seconds,
        trainable_parameters=trainable,
        first_loss=losses[0],
        last_loss=losses[-1],
        validation_loss=validation_loss,
        losses=list(enumerate(losses, start=1)),
        start_from=parent,
        lineage=lineage,
    )


def computes_bf16() -> bool:
    """Whether this machine multiplies bf16 faster than fp32."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))


def _rows(path: Path) -> Iterator[Example]:
    """One after the other: tokens take a fraction of the memory that rows do."""
    with path.open("rb") as lines:
        for line in lines:
            yield Example.model_validate_json(line)


def _started(job: TrainingJob, base_digest: str) -> tuple[TrainingJob, str]:
    """The job to run, and the new version's lineage. Training never continues from an adapter of another base.

    Raises TrainingStopped when the adapter has another shape than `train` asks for.
    """
    if job.start_from is None:
        return job, lineage_of(None, None, (job.base_model, base_digest))[1]
    before = None
    manifest_file = job.start_from.parent / MANIFEST
    if manifest_file.exists():
        manifest = VersionManifest.parse(manifest_file.read_bytes())
        before = manifest.base_model, manifest.base_digest
    goes_on, lineage = lineage_of(job.start_from.parent.name, before, (job.base_model, base_digest))
    if not goes_on:
        return job.model_copy(update={"start_from": None, "train_file": job.cold_file or job.train_file}), lineage
    config = json.loads((job.start_from / "adapter_config.json").read_text())
    if (config["r"], config["lora_alpha"]) != (job.train.lora_r, job.train.lora_alpha):
        raise TrainingStopped(
            f"production's adapter has lora_r {config['r']} and lora_alpha {config['lora_alpha']}, train asks for {job.train.lora_r} and "
            f"{job.train.lora_alpha}: set them back"
        )
    return job, lineage


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
    return get_peft_model(model, adapter_config(job.train))


def adapter_config(train: Train) -> Any:
    """The LoRA adapter that training puts on a base."""
    from peft import LoraConfig

    return LoraConfig(
        r=train.lora_r,
        lora_alpha=train.lora_alpha,
        lora_dropout=train.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _trainer(
    job: TrainingJob,
    model: Any,
    tokenizer: Any,
    rows: Sequence[Taught],
    share: replicas.Share,
    validation: Sequence[Taught],
    bf16: bool,
    count: int,
    report: Report,
) -> tuple[Any, list[float]]:
    """A TRL trainer, and the list its losses go to, one a step."""
    import torch
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    losses: list[float] = []

    class Watch(TrainerCallback):
        """Collects losses, stops a hopeless training, says how far it is."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started = self.said = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            losses.append(replicas.total(float(logs["loss"])) / count)
            if why := objection(losses, job.train.loss_limit):
                raise TrainingStopped(why)
            now = time.monotonic()
            if now - self.said >= _SAY_EVERY or state.global_step == state.max_steps:
                self.said = now
                spent = now - self.started
                left = spent / state.global_step * (state.max_steps - state.global_step)
                report(
                    f"step {state.global_step}/{state.max_steps}, loss {losses[-1]:.3f}, "
                    f"{count * state.num_input_tokens_seen / spent:.0f} tokens/s, {left:.0f} s left"
                )

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            replicas.agree(model)
            torch.nn.utils.clip_grad_norm_(model.parameters(), job.train.max_grad_norm)  # of the gradient they agree on

    class CompletionTrainer(SFTTrainer):
        """TRL's loss without its entropy and accuracy: with them the loss takes a third of a step on CPU."""

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return share

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            # the mean over replicas is that over all tokens only if each divides by the same number
            tokens = None if num_items_in_batch is None else replicas.total(float(num_items_in_batch)) / count
            with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
                loss, logits = taught_loss(model.get_base_model(), inputs, tokens)
            return (loss, {"logits": logits.detach()}) if return_outputs else loss

    arguments = SFTConfig(output_dir=str(job.work / "trainer"), **_settings(job.train, count, bf16, torch.cuda.is_available()))
    trainer = CompletionTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(rows),
        eval_dataset=_dataset(validation) if validation else None,
        processing_class=tokenizer,
        callbacks=[Watch()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, losses


def _settings(train: Train, count: int, bf16: bool, cuda: bool) -> dict[str, Any]:
    return {
        "num_train_epochs": train.epochs,
        "learning_rate": train.learning_rate,
        "per_device_train_batch_size": train.batch_size // count,
        "per_device_eval_batch_size": train.batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation_steps,
        "warmup_steps": train.warmup_ratio,  # below 1 it is a share of all steps
        "lr_scheduler_type": "cosine",
        "max_grad_norm": 0.0,  # clipped by us, once the replicas agree
        "max_length": None,  # rows that are longer are left out before
        "seed": train.seed,
        "data_seed": train.seed,
        "completion_only_loss": True,
        "bf16": bf16,
        "use_cpu": not cuda,
        "activation_checkpointing": cuda,
        "prediction_loss_only": True,
        "dataloader_pin_memory": cuda,
        "include_num_input_tokens_seen": "non_padding",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # the guard has to see it
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _dataset(rows: Sequence[Taught]) -> Any:
    """Rows as TRL takes them when they are tokens already: only the answer and its end have a loss."""
    import pyarrow as pa
    from datasets import Dataset

    # as one long array each: lists of a row each take ten times the memory on the way
    lengths = np.array([len(row.ids) for row in rows])
    ends = np.cumsum(lengths)
    ids = np.fromiter(chain.from_iterable(row.ids for row in rows), np.int32, count=int(ends[-1]))
    answers = np.arange(len(ids)) >= np.repeat(ends - lengths + [row.start for row in rows], lengths)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    columns = {"input_ids": ids, "completion_mask": answers.astype(np.int8)}
    return Dataset(pa.table({name: pa.ListArray.from_arrays(offsets, values) for name, values in columns.items()}))


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
            refused[f"more than max_length {job.train.max_length} tokens, cut they would teach half an answer"] += 1
        else:
            kept.append(tokens)
    for reason, count in refused.items():
        report(f"{count} of {total} rows are left out: {reason}")
    return kept


def _save_adapter(model: Any, job: TrainingJob, target: Path) -> None:
    # the base by its name, not by where it lies here: the config is part of the version's identity
    model.peft_config["default"].base_model_name_or_path = job.base_model
    model.save_pretrained(target, safe_serialization=True, save_embedding_layers=False)
    (target / "README.md").unlink(missing_ok=True)


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
