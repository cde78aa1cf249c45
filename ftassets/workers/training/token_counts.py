"""Tokens of rows as training counts them, from the base model's tokenizer and chat template alone."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.control_tokens import ControlTokens, control_tokens
from ftassets.domain.dataset.rows import Example
from ftassets.errors import FtassetsError, in_one_line
from ftassets.workers.chat_template import NoTemplate, answer_ids, taught, with_system_role
from ftassets.workers.training.base_models import BaseModelMissing, base_files


class NotCounted(FtassetsError):
    """Tokens cannot be counted on this machine; the message says why."""


def token_counts(loop: LoopConfig, rows: Sequence[Example], cache: Path) -> list[int | str]:
    """Tokens of each row's prompt and answer, or why the chat template does not take the row. Never reaches the network.

    Raises NotCounted if the tokenizer is not on this machine.
    """
    tokenizer = _tokenizer(loop.base_model, cache)
    return [_count(tokenizer, loop, row) for row in rows]


def answer_token_counts(loop: LoopConfig, rows: Sequence[Example], cache: Path) -> list[int]:
    """Tokens of each row's answer alone. Never reaches the network. Raises NotCounted if the tokenizer is not on this machine."""
    tokenizer = _tokenizer(loop.base_model, cache)
    return [len(answer_ids(tokenizer, row.completion)) for row in rows]


def base_control_tokens(base_model: str, cache: Path) -> ControlTokens | None:
    """The control tokens of a base model's tokenizer; None if it is not on this machine. Never reaches the network."""
    try:
        folder = _files(base_model, cache)
    except NotCounted:
        return None
    config, template = folder / "tokenizer_config.json", folder / "chat_template.jinja"
    tokenizer, configured = (json.loads(path.read_bytes()) if path.exists() else {} for path in (folder / "tokenizer.json", config))
    return control_tokens(tokenizer, configured, template.read_text(encoding="utf-8") if template.exists() else None)


def _files(base_model: str, cache: Path) -> Path:
    try:
        files = base_files(base_model, cache, network=False)
    except BaseModelMissing as error:
        raise NotCounted(str(error)) from error
    if files.options or not (files.folder / "tokenizer.json").exists():
        raise NotCounted("the base model was not converted on this machine yet, which the first training does")
    return files.folder


@lru_cache(maxsize=1)
def _tokenizer(base_model: str, cache: Path) -> Any:
    folder = _files(base_model, cache)
    from transformers import PreTrainedTokenizerFast  # AutoTokenizer would bring torch with it, which takes seconds

    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        tokenizer.chat_template = with_system_role(tokenizer)
    except Exception as error:  # whatever a file of somebody else makes the library raise
        raise NotCounted(in_one_line(error)) from error
    if tokenizer.chat_template is None:
        raise NotCounted("the base model has no chat template")
    return tokenizer


def _count(tokenizer: object, loop: LoopConfig, row: Example) -> int | str:
    try:
        return len(taught(tokenizer, loop.task.system_prompt, row, row.completion).ids)
    except NoTemplate as error:
        return str(error)
