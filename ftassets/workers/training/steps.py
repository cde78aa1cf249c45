"""The steps of a training: TRL's trainer with our objective, guards, validation and checkpoints, on every replica alike."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

from ftassets import metering
from ftassets.backends.trainer.checkpoints import Checkpoint, complete
from ftassets.config.loop import Train
from ftassets.domain.training.divergence import TrainingStopped, objection
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.overfit import stops_early
from ftassets.domain.training.points import LOSS, VALIDATION_LOSS
from ftassets.workers.process import Report, Terminated
from ftassets.workers.training import replicas
from ftassets.workers.training.loss import plain
from ftassets.workers.training.objectives.base import Collate, Objective
from ftassets.workers.training.points import Track, memory

_SAY_EVERY, _SAY_SHARE = 5.0, 0.02  # seconds between progress reports, and share of the time so far: a day of training says 350
_SAVE_EVERY = 300.0  # seconds between checkpoints, unless train.save_steps says how many steps
_DUE, _STOP = 1.0, 1e6  # what a replica asks for after a step: a checkpoint, or a checkpoint and the end
_BEST = "best.safetensors"  # weights with the lowest validation loss, in a checkpoint


@dataclass
class Progress:
    """What a training noted: losses in nats per token, one a step; (step, validation loss); steps at which it was taken up again."""

    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)
    seconds: float = 0.0  # of this process
    tokens: float = 0.0  # of this process, without padding


@dataclass(frozen=True)
class Steps:
    """What the steps of one training need: the trainable model, what it minimises, and whether somebody asks for its end."""

    job: TrainingJob
    model: Any
    tokenizer: Any
    rows: Objective
    validation: Objective
    bf16: bool
    key: str  # of its checkpoints
    report: Report
    stop_asked: Callable[[], bool]
    track: Track
    keep: Callable[[Path], None] = lambda _: None  # has a complete checkpoint folder where another machine finds it
    measured: Callable[[float, float], None] = lambda share, loss: None  # a validation loss, and the share of steps done


def run_steps(steps: Steps, count: int, resume: Checkpoint | None, member: replicas.Member | None = None) -> Progress:
    """Train the model in place on `count` replicas of this process, from `resume` on, and return in the original.

    A `member` of processes on several machines trains its part, and all of them return.
    Raises TrainingStopped, and Terminated once `stop_asked` returns true and a checkpoint is written.
    """
    rank = member.rank if member else replicas.fork(count, steps.job.work)
    progress = Progress(**resume.progress) if resume else Progress()
    if resume:
        progress.validation = [(step, loss) for step, loss in progress.validation]
        progress.resumed_at.append(resume.step)
    trainer, watch = make_trainer(steps, rank, count, progress)
    with nullcontext() if member else replicas.joined(rank, count, steps.job.work):
        if resume:
            watch.restore_best(resume.folder)
        trainer.train(resume_from_checkpoint=str(resume.folder) if resume else None)
        progress.tokens = replicas.total(trainer.state.num_input_tokens_seen - watch.tokens_before)
    progress.seconds = time.monotonic() - watch.started
    if watch.stopped:
        raise Terminated(f"the training was asked to end after step {len(progress.losses)}: start it again, and it resumes from there")
    watch.use_best(steps.model)
    return progress


def make_trainer(steps: Steps, rank: int, count: int, progress: Progress) -> tuple[Any, Any]:
    """A TRL trainer for one replica of `count`, and the callback that watches it and fills `progress`."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    job, train = steps.job, steps.job.train
    batch = train.batch_size // count
    share = replicas.Share(len(steps.rows), train.batch_size, rank, count, train.seed)
    held_out = steps.validation.dataset().select(range(rank, len(steps.validation), count)) if len(steps.validation) else []
    report, track = (steps.report, steps.track) if rank == 0 else (lambda _: None, lambda step, values: None)

    class Watch(TrainerCallback):
        """Collects losses, stops a hopeless training, validates, asks for checkpoints, says how far it is."""

        stopped = False
        best: dict[str, Any] | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started = self.said = self.saved = time.monotonic()
            self.tokens_before = self.metered = state.num_input_tokens_seen
            self.last_step = self.started
            self.steps_an_epoch = math.ceil(math.ceil(len(share) / batch) / train.gradient_accumulation_steps)
            share.epoch = state.global_step // self.steps_an_epoch
            for step, loss in enumerate(progress.losses, start=1):  # who follows may not know what came before the checkpoint
                track(step, {LOSS: loss})
            for step, loss in progress.validation:
                track(step, {VALIDATION_LOSS: loss})

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            replicas.agree(model)
            # of the gradient they agree on
            self.gradient_norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), train.max_grad_norm))

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, model: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            progress.losses.append(replicas.total(float(logs["loss"])) / count)
            self._track(state, float(logs["learning_rate"]))
            if why := objection(progress.losses, train.loss_limit):
                raise TrainingStopped(why)
            self._say(state)
            self._validate(state, control, model)
            self._save(state, control)

        def _track(self, state: Any, learning_rate: float) -> None:
            step, now = state.global_step, time.monotonic()
            tokens = int(replicas.total(float(state.num_input_tokens_seen - self.metered)))
            if rank == 0:
                metering.count(tokens_trained=tokens)
            values = {
                LOSS: progress.losses[-1],
                "learning_rate": learning_rate,
                "gradient_norm": self.gradient_norm,
                "epoch": step / self.steps_an_epoch,
                "tokens_per_second": tokens / max(now - self.last_step, 1e-6),
                **memory(),
            }
            if step % self.steps_an_epoch == 0:
                values["loss_of_epoch"] = fmean(progress.losses[-self.steps_an_epoch :])
            track(step, values)
            self.metered, self.last_step = state.num_input_tokens_seen, now

        def _say(self, state: Any) -> None:
            now = time.monotonic()
            if now - self.said >= max(_SAY_EVERY, _SAY_SHARE * (now - self.started)) or state.global_step == state.max_steps:
                self.said = now
                spent, done = now - self.started, state.global_step - (progress.resumed_at or [0])[-1]
                left = spent / done * (state.max_steps - state.global_step)
                speed = count * (state.num_input_tokens_seen - self.tokens_before) / spent
                step = f"step {state.global_step}/{state.max_steps}"
                report(f"{step}, loss {progress.losses[-1]:.3f}, {speed:.0f} tokens/s, {left:.0f} s left")

        def _validate(self, state: Any, control: Any, model: Any) -> None:
            step, last = state.global_step, state.global_step == state.max_steps
            if last or step % (train.eval_steps or self.steps_an_epoch) == 0:
                loss = _validation_loss(trainer.model, steps.validation, held_out, validated, train.batch_size, steps.bf16)
                if loss is None:
                    return
                progress.validation.append((step, loss))
                track(step, {VALIDATION_LOSS: loss})
                report(f"step {step}, validation loss {loss:.3f}")
                if rank == 0:
                    steps.measured(step / state.max_steps, loss)
                if train.early_stopping_patience is not None:
                    if loss <= min(each for _, each in progress.validation):
                        self.best = {name: weight.detach().clone() for name, weight in _trained(model)}
                    control.should_training_stop |= stops_early(progress.validation, train.early_stopping_patience)

        def _save(self, state: Any, control: Any) -> None:
            now = time.monotonic()
            due = state.global_step % train.save_steps == 0 if train.save_steps else now - self.saved >= _SAVE_EVERY
            asked = replicas.total(_STOP if steps.stop_asked() else _DUE if due and rank == 0 else 0.0)
            if control.should_training_stop:
                return
            self.stopped = asked >= _STOP
            if asked:
                self.saved = now
                control.should_save, control.should_training_stop = True, self.stopped

        def save_best(self, folder: Path) -> None:
            if self.best is not None:
                save_file(self.best, folder / _BEST)

        def restore_best(self, folder: Path) -> None:
            if (folder / _BEST).exists():
                self.best = load_file(folder / _BEST)

        def use_best(self, model: Any) -> None:
            for name, weight in _trained(model):
                if self.best is not None:
                    weight.data.copy_(self.best[name])

    class CompletionTrainer(SFTTrainer):
        """TRL's trainer with our losses: its own compute entropy and accuracy too, which take a third of a step on CPU."""

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return share

        def _get_num_items_in_batch(self, batch_samples: Any, device: Any) -> Any:
            return torch.as_tensor(sum(steps.rows.items(batch) for batch in batch_samples), device=device)

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            # the mean over replicas is that over all items only if each divides by the same number
            items = replicas.total(float(num_items_in_batch)) / count
            with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=steps.bf16):
                return steps.rows.loss(plain(model), inputs, items)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            """Weights and optimizer are the same on every replica, the states of the random numbers are not."""
            folder = job.checkpoints / f"checkpoint-{self.state.global_step}"
            if rank == 0:
                super(SFTTrainer, self)._save_checkpoint(model, trial)
                (folder / "training_args.bin").unlink(missing_ok=True)  # pickled, and never read
                watch.save_best(folder)
                others = replicas.gathered({})
            else:  # it may have another disk
                with tempfile.TemporaryDirectory() as own:
                    self._save_rng_state(own)
                    others = replicas.gathered({p.relative_to(own).as_posix(): p.read_bytes() for p in Path(own).rglob("*") if p.is_file()})
            if rank == 0:
                for name, state in chain.from_iterable(other.items() for other in others):
                    (folder / name).parent.mkdir(exist_ok=True)
                    (folder / name).write_bytes(state)
                noted = {"losses": progress.losses, "validation": progress.validation, "resumed_at": progress.resumed_at}
                complete(folder, steps.key, self.state.global_step, noted)
                steps.keep(folder)
                track(self.state.global_step, {"checkpoint": self.state.global_step})

        def _save_rng_state(self, output_dir: str) -> None:
            super()._save_rng_state(os.path.join(output_dir, f"replica-{rank}"))

        def _load_rng_state(self, checkpoint: str | None) -> None:
            super()._load_rng_state(None if checkpoint is None else os.path.join(checkpoint, f"replica-{rank}"))

    arguments = SFTConfig(output_dir=str(job.checkpoints), **_settings(train, batch, steps.bf16, torch.cuda.is_available()))
    watch = Watch()
    trainer = CompletionTrainer(
        model=steps.model,
        args=arguments,
        train_dataset=steps.rows.dataset(),
        processing_class=steps.tokenizer,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    default: Any = trainer.data_collator
    trained, validated = (each.collator(default) for each in (steps.rows, steps.validation))
    trainer.data_collator = trained
    for _, weight in _trained(steps.model):
        weight.data = weight.data.float()  # TRL made those on a quantized base bf16, which loses small steps, and a checkpoint's are fp32
    return trainer, watch


def _trained(model: Any) -> Iterator[tuple[str, Any]]:
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def _validation_loss(model: Any, of: Objective, rows: Any, collate: Collate, size: int, bf16: bool) -> float | None:
    """Mean loss of all items of the `rows` of all replicas; None if none of them has a row."""
    import torch

    loss, items = 0.0, 0
    model.eval()
    with torch.inference_mode(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
        for start in range(0, len(rows), size):
            batch = collate([rows[place] for place in range(start, min(start + size, len(rows)))])
            inputs = {name: value.to(model.device) for name, value in batch.items()}
            loss += float(of.loss(plain(model), inputs, 1))
            items += int(of.items(inputs))
    model.train()
    total = replicas.total(items)
    return replicas.total(loss) / total if total else None


def _settings(train: Train, batch: int, bf16: bool, cuda: bool) -> dict[str, Any]:
    return {
        "num_train_epochs": train.epochs,
        "learning_rate": train.learning_rate,
        "per_device_train_batch_size": batch,
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
        "remove_unused_columns": False,  # all of ours are used
        **({"optim": "paged_adamw_8bit"} if cuda and find_spec("bitsandbytes") else {}),
        "dataloader_pin_memory": cuda,
        "include_num_input_tokens_seen": "non_padding",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # the guard has to see it
        "save_strategy": "no",  # the callback asks for checkpoints
        "report_to": "none",
        "disable_tqdm": True,
    }
