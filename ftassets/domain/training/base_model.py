"""Whether a loop can train and serve its base model, from what its configuration and tokenizer say."""

from collections.abc import Iterator
from dataclasses import dataclass

from ftassets.config.loop import LoopConfig
from ftassets.domain.training.memory_need import Shape, training_bytes
from ftassets.domain.training.method import METHODS
from ftassets.wording import amount

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Template:
    """What a chat template makes of conversations; a text says why it refuses one, None that it takes it.

    `own_system`: it has a system role. Without one the system message is written at the head of the first user message.
    `ends`: behind an answer it writes a token at which generation stops.
    """

    own_system: bool
    plain: str | None = None
    turns: str | None = None
    tools: str | None = None
    ends: bool = True


@dataclass(frozen=True)
class BaseFacts:
    """What is known of a base model without loading its weights; what could not be read is None, with the reason in a `*_problem`."""

    source: str
    weights: tuple[str, ...] = ()  # names of files
    config_problem: str | None = None
    model_type: str | None = None
    quantized: str | None = None  # method, if the weights are quantized already
    context: int | None = None  # longest input in tokens
    model_problem: str | None = None  # why no model for text can be made of the configuration
    shape: Shape | None = None
    adapter_problem: str | None = None
    tokenizer_problem: str | None = None
    tokens: int | None = None  # size of the tokenizer's vocabulary
    embeddings: int | None = None  # rows of the model's input embedding
    end: str | None = None  # the end-of-text token
    template: Template | None = None


@dataclass(frozen=True)
class Machine:
    """Where the training would run: bytes of memory of the GPU, or of the machine without one."""

    memory: float
    gpu: bool
    bf16: bool
    bitsandbytes: bool


@dataclass(frozen=True)
class BaseFinding:
    """One property of a base model: whether the loop can work with it, and why."""

    subject: str
    ok: bool
    text: str


def base_findings(loop: LoopConfig, facts: BaseFacts, machine: Machine) -> list[BaseFinding]:
    """All findings, good and bad. A finding that is not ok would fail a run after it was paid for."""
    return [*_model(loop, facts), *_weights(facts), *_tokenizer(loop, facts), *_quantization(loop, machine), *_memory(loop, facts, machine)]


def _model(loop: LoopConfig, facts: BaseFacts) -> Iterator[BaseFinding]:
    if facts.config_problem:
        advice = "take a base model that these libraries know, or upgrade transformers; code from a model's repository is never run"
        yield BaseFinding("architecture", False, f"the configuration cannot be used ({facts.config_problem}): {advice}")
        return
    if facts.model_problem or facts.shape is None:
        yield BaseFinding("architecture", False, f"no model that continues text is known for {facts.model_type} ({facts.model_problem})")
    else:
        yield BaseFinding("architecture", True, f"{facts.model_type}, {facts.shape.parameters / 1e6:,.0f}M parameters")
    if facts.quantized:
        text = f"its weights are quantized already ({facts.quantized}): take the full weights; train.method qlora quantizes them itself"
        yield BaseFinding("quantized weights", False, text)
    if facts.adapter_problem:
        yield BaseFinding("adapter", False, f"no LoRA adapter can be put on it ({facts.adapter_problem})")
    elif facts.shape:
        at = f" at lora_r {loop.train.lora_r}" if METHODS[loop.train.method].adapter == "LORA" else f" by {loop.train.method}"
        yield BaseFinding("adapter", True, f"{facts.shape.trained / 1e6:.2f}M parameters to train{at}")
    if facts.context is not None:
        most = loop.train.max_length
        fits = most <= facts.context
        advice = "" if fits else f": lower train.max_length from {most:,}, longer rows fail or are read wrongly"
        yield BaseFinding("context", fits, f"{amount(facts.context, 'token')}{advice}")


def _weights(facts: BaseFacts) -> Iterator[BaseFinding]:
    safe = [name for name in facts.weights if name.endswith((".safetensors", ".gguf"))]
    pickled = [name for name in facts.weights if name.endswith(PICKLED)]
    if safe:
        yield BaseFinding("weights", True, f"{len(safe)} {safe[0].rpartition('.')[2]} files" if len(safe) > 1 else safe[0])
    elif pickled:
        text = f"only pickled weights ({pickled[0]}), which can run code when they are loaded: save them as safetensors"
        yield BaseFinding("weights", False, text)
    else:
        yield BaseFinding("weights", False, "no file of weights was found: fetch the model as a whole, or correct base_model")


def _tokenizer(loop: LoopConfig, facts: BaseFacts) -> Iterator[BaseFinding]:
    if facts.tokenizer_problem:
        yield BaseFinding("tokenizer", False, f"it cannot be loaded ({facts.tokenizer_problem})")
        return
    if facts.tokens is not None and facts.embeddings is not None:
        fits = facts.tokens <= facts.embeddings
        text = f"{amount(facts.tokens, 'token')}, {amount(facts.embeddings, 'embedding')}"
        yield BaseFinding("vocabulary", fits, text if fits else f"{text}: some tokens have no embedding, take the model's own tokenizer")
    if facts.end is None:
        yield BaseFinding("end of text", False, "the tokenizer names no end-of-text token (eos_token): no answer would ever end")
    if facts.template is None:
        yield BaseFinding("chat template", False, "it has none: take an instruction-tuned model")
        return
    yield from _template(facts.template)


def _template(template: Template) -> Iterator[BaseFinding]:
    if template.plain:
        yield BaseFinding("chat template", False, f"it does not take a system prompt and a request: {template.plain}")
        return
    role = "" if template.own_system else "; it has no system role, so the system prompt is written at the head of the first user message"
    yield BaseFinding("chat template", True, f"takes a system prompt and a request{role}")
    if not template.ends:
        text = "behind an answer it does not write the end-of-text token: answers would run on until task.max_tokens"
        yield BaseFinding("end of answers", False, text)
    for name, refused in (("earlier turns", template.turns), ("tool results", template.tools)):
        text = f"rows with {name} are not trained on, and requests with them fail: {refused}" if refused else f"rows may have {name}"
        yield BaseFinding(name, True, text)


def _quantization(loop: LoopConfig, machine: Machine) -> Iterator[BaseFinding]:
    if loop.train.method == "qlora":
        text = "installed" if machine.bitsandbytes else "missing: pip install bitsandbytes, or set train.method to lora"
        yield BaseFinding("bitsandbytes", machine.bitsandbytes, text)


def _memory(loop: LoopConfig, facts: BaseFacts, machine: Machine) -> Iterator[BaseFinding]:
    if facts.shape is None:
        return
    train = loop.train
    needed = training_bytes(
        facts.shape, train.method, train.batch_size, train.max_length, loop.task.max_tokens, machine.bf16, checkpoints=machine.gpu
    )
    where = "the GPU" if machine.gpu else "this machine"
    fits = needed <= machine.memory
    text = f"about {needed / 1e9:,.1f} GB at train.batch_size {train.batch_size} and max_length {train.max_length}"
    text += f"; {where} has {machine.memory / 1e9:,.1f} GB"
    advice = "" if fits else ": lower train.batch_size or max_length, use method qlora, or take a smaller model"
    yield BaseFinding("memory", fits, text + advice)
