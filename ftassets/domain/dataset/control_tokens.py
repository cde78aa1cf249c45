"""Texts that hold a control token of a tokenizer, such as `<|im_end|>`.

A chat template writes a conversation as one text, and the tokenizer reads the token in it: the user's text would end a message and begin
another. Training, evaluation and the gateway therefore break such a token by a space before the template is filled in, all by `Escape`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ftassets.domain.canonical import parse_json
from ftassets.domain.chat import Asked, Chat, openai_messages

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")  # in a tokenizer_config.json
_BARS = re.compile(r"<[|｜][^<>\s]{1,60}[|｜]>")
_MARK = re.compile(_BARS.pattern + r"|\[/?[A-Z_]{3,30}\]|<</?[A-Z]{2,10}>>")  # such as <|user|>, [INST], <<SYS>>
_FURTHER = ("additional_special_tokens", "extra_special_tokens")


def control_tokens(tokenizer: Mapping[str, Any], config: Mapping[str, Any] | None = None, template: Any = None) -> list[str]:
    """The control tokens of a `tokenizer.json`, of the `tokenizer_config.json` next to it, if there is one, and of the chat template
    that is in the config or in a file of its own; each once.
    """
    config = config or {}
    added = [*(tokenizer.get("added_tokens") or ()), *(config.get("added_tokens_decoder") or {}).values()]
    found = [token["content"] for token in added if is_control(token["content"], token.get("special"))]
    further = [config.get(name) or () for name in _FURTHER]
    named = [config.get(name) for name in _NAMED]
    named += [token for tokens in further for token in (tokens.values() if isinstance(tokens, dict) else tokens)]
    found += [token["content"] if isinstance(token, dict) else token for token in named if token]
    found += [mark for each in (config.get("chat_template"), template) for mark in template_marks(each)]
    return [token for token in dict.fromkeys(found) if token]


def is_control(token: str, special: Any) -> bool:
    """Whether an added token is a control token: it is marked as special, or written like one, as <｜User｜> of DeepSeek is without a mark.

    Other added tokens, such as <think> and <tool_call>, are words that models write in their answers.
    """
    return bool(special) or _BARS.fullmatch(token) is not None


def template_marks(template: Any) -> list[str]:
    """What a chat template, or several by name, writes around turns: a text that a tokenizer reads alike whoever wrote it, such as [INST].

    Each once, in its order.
    """
    if isinstance(template, Mapping):
        template = list(template.values())
    texts = template if isinstance(template, list) else [template]
    plain = [each.get("template") if isinstance(each, Mapping) else each for each in texts]
    return list(dict.fromkeys(mark for text in plain if isinstance(text, str) for mark in _marks(text)))


@lru_cache(maxsize=16)
def _marks(template: str) -> tuple[str, ...]:
    return tuple(_MARK.findall(template))


class Escape:
    """Breaks every control token of a tokenizer in texts: `<|im_end|>` becomes `< |im_end|>`, which a tokenizer reads as text.

    A token of one character becomes U+FFFD; one of white space cannot be broken and stays. What holds no control token stays as it is.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        names = sorted((token for token in tokens if token.strip()), key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, names))) if names else None

    def text(self, text: str) -> str:
        """The text without a control token."""
        while self._found is not None and self._found.search(text):  # a broken token may be another one
            text = self._found.sub(lambda match: _broken(match[0]), text)
        return text

    def found(self, text: str) -> list[str]:
        """The control tokens in a text, each once."""
        return list(dict.fromkeys(self._found.findall(text))) if self._found is not None else []

    def value(self, value: Any) -> Any:
        """A JSON value without a control token in its strings and keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value

    def chat(self, chat: Chat) -> Chat:
        """A chat without a control token; roles are those of `ftassets.domain.chat`."""
        if self._found is None:
            return chat
        return Chat([self._message(message) for message in chat.messages], None if chat.tools is None else self.value(chat.tools))

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        written = {key: value if key == "role" else self.value(value) for key, value in message.items()}
        if isinstance(calls := message.get("tool_calls"), list):
            written["tool_calls"] = [self._call(call) for call in calls]
        return written

    def _call(self, call: Any) -> Any:
        """Arguments may be JSON as text: its escapes, such as \\u003c, hide a token which the template writes."""
        written = self.value(call)
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping) and isinstance(arguments := function.get("arguments"), str):
            written["function"]["arguments"] = self._document(arguments)
        return written

    def _document(self, text: str) -> str:
        try:
            value = parse_json(text)
        except ValueError:
            return self.text(text)
        return text if (escaped := self.value(value)) == value else json.dumps(escaped, ensure_ascii=False)


def _broken(token: str) -> str:
    first = len(token) - len(token.lstrip())
    if len(token.strip()) == 1:
        return "\ufffd"
    return f"{token[: first + 1]} {token[first + 1 :]}"


@lru_cache(maxsize=8)
def escape_of(tokens: tuple[str, ...]) -> Escape:
    """The escape of a tokenizer's control tokens."""
    return Escape(tokens)


def tokens_in(asked: Asked, escape: Escape) -> list[str]:
    """The control tokens that the texts of a request hold, each once."""
    return list(dict.fromkeys(token for text in _strings(openai_messages(asked.messages), asked.tools) for token in escape.found(text)))


def _strings(messages: list[dict[str, Any]], tools: str | None) -> Iterable[str]:
    for message in messages:
        yield from _texts({key: value for key, value in message.items() if key != "role"})
    if tools:
        yield from _texts(json.loads(tools))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
