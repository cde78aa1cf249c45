"""What a training will need, from the model's configuration and its rows, and what this machine has."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.config.loop import Train
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.libraries import Libraries
from ftassets.domain.training.memory_need import Shape, training_bytes, training_disk
from ftassets.domain.training.smaller_batch import fitting_batch
from ftassets.domain.training.time_need import reading_seconds, training_seconds
from ftassets.errors import in_one_line
from ftassets.wording import amount, span
from ftassets.workers.process import Report
from ftassets.workers.training import replicas
from ftassets.workers.training.methods.lora import adapter_config
from ftassets.workers.training.objectives.base import Objective

_MEASURED = 0.3  # seconds of matrix products, after some to warm up
_NO_GPU = ("No CUDA GPUs are available", "Found no NVIDIA driver")
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def libraries() -> Libraries:
    """The libraries of this process."""
    import importlib.metadata

    import torch

    try:
        bitsandbytes, quantizes = importlib.metadata.version("bitsandbytes"), None
    except importlib.metadata.PackageNotFoundError:
        bitsandbytes, quantizes = None, None
    else:
        try:
            from bitsandbytes.cextension import ErrorHandlerMockBNBNativeLibrary, lib

            if torch.cuda.is_available() and isinstance(lib, ErrorHandlerMockBNBNativeLibrary):
                quantizes = in_one_line(Exception(str(lib.error_msg)))[:200]
        except Exception as error:  # whatever a broken installation raises
            quantizes = f"{type(error).__name__}: {in_one_line(error)[:200]}"
    problem = None
    gpu = torch.cuda.is_available()
    if torch.version.cuda is not None and not gpu:
        try:
            torch.cuda.current_device()
        except Exception as error:  # a driver that is too old, which torch explains; a machine without a GPU has no problem
            text = in_one_line(error)[:200]
            problem = None if any(words in text for words in _NO_GPU) else text
    return Libraries(torch.__version__, torch.version.cuda, gpu, bitsandbytes, problem, quantizes)


@dataclass(frozen=True)
class Fit:
    """Settings that fit this machine, with how many processes, and what they need: bytes and seconds, estimated."""

    train: Train
    processes: int
    memory: float
    seconds: float


def shape_of(model: Any, train: Train) -> Shape:
    """The shape of a model, which may be without memory for its weights, and of what `train` trains of it. Raises what PEFT does."""
    from peft import get_peft_model

    text = model.config.get_text_config()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
    sizes = [int(getattr(text, name, 0) or 0) for name in names]
    if train.method == "full":
        trained = parameters
    elif train.method == "prefix":
        trained = train.prefix_tokens * sizes[1]
    else:
        adapted = get_peft_model(model, adapter_config(train, model))
        trained = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    return Shape(parameters, trained, *sizes)


def empty_model(config: Any) -> Any:
    """A causal language model of a configuration, without memory for its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def fit(
    train: Train,
    base: Path,
    rows: Objective,
    validation: Objective,
    bf16: bool,
    cores: int,
    disk: Path,
    report: Report,
    machines: int = 1,
) -> Fit:
    """The settings as this machine can train them: with smaller batches, and the same steps, where memory asks for it.

    Of several `machines` with one process each, every one takes its part of a batch; the one with the least memory decides.
    Raises TrainingStopped if no batch is small enough, the disk of the folder `disk` has too little room for checkpoints and version, or
    the estimated time is more than `max_time`.
    """
    import torch
    from transformers import AutoConfig

    gpu = torch.cuda.is_available()
    asked, train = train, train.model_copy(update={"batch_size": train.batch_size // machines, "ray": None})
    shape = shape_of(empty_model(AutoConfig.from_pretrained(base, trust_remote_code=False)), train)
    longest = max(len(row.ids) for row in rows.texts)
    answer = max(len(row.ids) - row.start for row in rows.texts)

    def processes(of: Train) -> int:
        return 1 if gpu else replicas.fitting(of.batch_size, min(cores, len(rows)))

    def needed(of: Train, count: int) -> float:
        return training_bytes(shape, of.method, of.batch_size * rows.sequences, longest, answer, bf16, checkpoints=gpu, processes=count)

    room, free = training_disk(shape, train.method), float(shutil.disk_usage(disk).free)
    if room > free:
        raise TrainingStopped(
            f"checkpoints and the new version need about {room / 1e9:.1f} GB, and the disk of {disk} has {free / 1e9:.1f} GB free: make "
            "room, or set FTASSETS_HOME to a larger disk"
        )
    has, where = memory(), "the GPU" if gpu else "this machine"
    fitting = fitting_batch(train, lambda of: needed(of, 1), has)
    if fitting is None:
        raise TrainingStopped(
            f"training by {train.method} needs about {needed(train, 1) / 1e9:.1f} GB for rows of {amount(longest, 'token')}, and {where} "
            f"has {has / 1e9:.1f} GB: lower train.max_length or batch_size, use method qlora, or take a smaller base model"
        )
    if machines > 1:
        least = replicas.least(fitting.batch_size)
        fitting = fitting_batch(train, lambda of: of.batch_size - least, 0) or fitting
    if fitting.batch_size != train.batch_size:
        report(
            f"batch_size {train.batch_size} would need {needed(train, 1) / 1e9:.1f} GB of {has / 1e9:.1f} GB: training with "
            f"{fitting.batch_size} in {amount(fitting.gradient_accumulation_steps, 'pass', 'passes')} a step, which gives the same steps"
        )
    count = processes(fitting)
    if needed(fitting, count) > has:
        count = 1
    bytes_needed = needed(fitting, count)
    tokens = round(train.epochs * sum(len(row.ids) for row in rows.texts))
    answers = round(train.epochs * sum(len(row.ids) - row.start for row in rows.texts))
    fast = speed(bf16)
    seconds = training_seconds(shape, train.method, tokens, answers, longest, machines * count * fast, checkpoints=gpu)
    for each in (rows, validation):
        seconds += reading_seconds(shape, *each.forward_only(train.epochs), longest, fast)
    report(f"estimated before the start: {bytes_needed / 1e9:.1f} GB of memory, {span(seconds)} for {amount(tokens, 'token')}")
    if train.max_time is not None and seconds > train.max_time:
        raise TrainingStopped(
            f"the training would take about {span(seconds)}, train.max_time is {span(train.max_time)}: raise it, lower "
            "train.epochs, or train on a faster machine"
        )
    together = fitting.model_copy(update={"batch_size": machines * fitting.batch_size, "ray": asked.ray})
    return Fit(together, machines * count, bytes_needed, seconds)


def memory() -> float:
    """Bytes of memory of the GPU; without one those of this machine, or of the container where it may use less."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(0).total_memory)
    limits = [float(text) for path in map(Path, _LIMITS) if path.is_file() and (text := path.read_text().strip()).isdecimal()]
    return min(float(psutil.virtual_memory().total), *limits, float("inf"))


def speed(bf16: bool) -> float:
    """Operations a second of matrix products here, in one process, in the type that a training computes in."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 768
    one = torch.randn(size, size, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    done, begin = 0, time.perf_counter()
    measured_from = begin + _MEASURED / 3
    start = None
    while True:
        one @ one
        if device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if start is None:
            if now >= measured_from:
                start = now
            continue
        done += 1
        if now - start >= _MEASURED:
            return done * 2 * size**3 / (now - start)
