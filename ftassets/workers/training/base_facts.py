"""What configuration, tokenizer and file names say about a base model, without its weights."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftassets.config.loop import LoopConfig
from ftassets.domain.training.base_model import PICKLED, BaseFacts, Machine, Template
from ftassets.errors import in_one_line
from ftassets.workers.chat_template import SYSTEM, USER, stop_ids, writes_system
from ftassets.workers.number_format import computes_bf16
from ftassets.workers.process import set_up_libraries
from ftassets.workers.training.base_models import BaseFiles, base_files
from ftassets.workers.training.need import empty_model, memory, shape_of

_WEIGHTS = (".safetensors", ".gguf", *PICKLED)


def read_facts(loop: LoopConfig, cache: Path) -> BaseFacts:
    """Facts about the loop's base model. Reaches the network only for a hub id, and there only for small files.

    Raises BaseModelMissing.
    """
    files = base_files(loop.base_model, cache)
    facts = BaseFacts(files.source, tuple(name for name in files.names if name.endswith(_WEIGHTS)))
    with _quiet():
        return _with_tokenizer(_with_model(facts, files, loop), files)


def machine() -> Machine:
    """This machine, as a training would use it."""
    import torch

    return Machine(memory(), torch.cuda.is_available(), computes_bf16(), importlib.util.find_spec("bitsandbytes") is not None)


def _with_model(facts: BaseFacts, files: BaseFiles, loop: LoopConfig) -> BaseFacts:
    """The facts with those of the configuration; the model is made without memory for its weights."""
    set_up_libraries()
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False, **files.options)
    except Exception as error:  # whatever a configuration makes the library raise is what we are here to say
        return replace(facts, config_problem=_short(error))
    text = config.get_text_config()
    quantized = getattr(config, "quantization_config", None)
    facts = replace(
        facts,
        model_type=config.model_type,
        quantized=None if quantized is None or files.options else _method(quantized),
        context=getattr(text, "max_position_embeddings", None),
        embeddings=getattr(text, "vocab_size", None),
    )
    try:
        model = empty_model(config)
        if model.get_output_embeddings() is None:
            raise ValueError("it has no output layer over the vocabulary")
    except Exception as error:
        return replace(facts, model_problem=_short(error))
    try:
        shape = shape_of(model, loop.train)
        if shape.trained == 0:
            raise ValueError("it has no linear layer")
    except Exception as error:
        without = loop.train.model_copy(update={"method": "full"})
        return replace(facts, adapter_problem=_short(error), shape=replace(shape_of(model, without), trained=0))
    return replace(facts, shape=shape)


def _with_tokenizer(facts: BaseFacts, files: BaseFiles) -> BaseFacts:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False, **files.options)
    except Exception as error:
        return replace(facts, tokenizer_problem=_short(error))
    template = _template(tokenizer, _stops(tokenizer, files.folder)) if tokenizer.chat_template is not None else None
    return replace(facts, tokens=len(tokenizer), end=tokenizer.eos_token, template=template)


def _stops(tokenizer: Any, folder: Path) -> set[str]:
    """The tokens at which a version of this base will stop."""
    try:
        named = json.loads((folder / "generation_config.json").read_bytes())["eos_token_id"]
    except (OSError, ValueError, LookupError, TypeError):  # many bases have none
        named = []
    ids = [each for each in (named if isinstance(named, list) else [named]) if type(each) is int and 0 <= each < len(tokenizer)]
    return {token for token in tokenizer.convert_ids_to_tokens(stop_ids(tokenizer, ids)) if token}


def _template(tokenizer: Any, stops: set[str]) -> Template:
    """What the tokenizer's template makes of four conversations; `stops` are the tokens at which generation stops."""
    system, ask, say = ({"role": role, "content": text} for role, text in (("system", SYSTEM), ("user", USER), ("assistant", _ANSWER)))
    call = {"role": "assistant", "content": "", "tool_calls": [_CALL]}
    result = {"role": "tool", "content": "4", "tool_call_id": "1"}

    def render(*messages: dict[str, Any], answered: bool = False) -> tuple[str, str | None]:
        try:
            return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=not answered), None
        except Exception as error:  # templates raise errors of their own
            return "", _short(error)

    own_system = writes_system(tokenizer)
    begins = [system, ask] if own_system else [{"role": "user", "content": f"{SYSTEM}\n\n{USER}"}]
    text, plain = render(*begins)
    if plain is None and USER not in text:
        plain = "it leaves the user's message out"
    said, unsaid = render(*begins, say, answered=True)
    if plain is None and (unsaid or _ANSWER not in said):
        plain = unsaid or "it leaves the assistant's answer out"
    return Template(
        own_system,
        plain,
        turns=render(*begins, say, ask)[1],
        tools=render(*begins, call, result)[1],
        ends=any(token in said.rpartition(_ANSWER)[2] for token in stops),
    )


_ANSWER = "fine 1147"
_CALL = {"type": "function", "id": "1", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}


def _method(quantization: Any) -> str:
    found = quantization.get("quant_method") if isinstance(quantization, dict) else getattr(quantization, "quant_method", None)
    return str(getattr(found, "value", found) or "of an unknown method")


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {in_one_line(error)[:200]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries remark on their way out of our findings."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
