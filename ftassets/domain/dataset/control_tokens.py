"""Texts that hold a control token of a tokenizer, such as `<|im_end|>`, or another marker of its chat template, such as `[INST]`.

A chat template writes a conversation as one text, and the model reads the token in it: the user's text would end a message and begin
another. Training, evaluation and the gateway therefore break such a token by a space before the template is filled in, all by `Escape`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ftassets.domain.canonical import parse_json
from ftassets.domain.chat import Asked, Chat, openai_messages

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")  # in a tokenizer_config.json
_BARS = re.compile(r"<[|｜][^<>\s]{1,60}[|｜]>")
_FURTHER = ("additional_special_tokens", "extra_special_tokens")
_MARKER = re.compile(_BARS.pattern + r"|<</?[A-Z_]{2,20}>>|\[/?[A-Z_]{2,30}\]|</?[a-z]+_[a-z_]+>")  # <|user|>, <<SYS>>, [INST]


_KNOWN = re.compile(_MARKER.pattern + r"|</?s>|<(?:bos|eos|pad|unk|mask|sep|cls)>")  # of any tokenizer


class ControlTokens(NamedTuple):
    """What no text of a user may hold as it is.

    `special` are the tokenizer's special tokens, which no model writes as text. `markers` are what else the chat template writes: added
    tokens that are not special, such as `<tool_call>`, and words that look like tokens. Answers may hold them.
    """

    special: tuple[str, ...]
    markers: tuple[str, ...] = ()


def control_tokens(tokenizer: Mapping[str, Any], config: Mapping[str, Any] | None = None, template: str | None = None) -> ControlTokens:
    """Those of a `tokenizer.json`, of the `tokenizer_config.json` next to it, if there is one, and of the chat template; each once.

    Without a `template` it is the configuration's.
    """
    config = config or {}
    added = [*(tokenizer.get("added_tokens") or ()), *(config.get("added_tokens_decoder") or {}).values()]
    found = [token["content"] for token in added if token.get("special")]
    further = [config.get(name) or () for name in _FURTHER]
    named = [config.get(name) for name in _NAMED]
    named += [token for tokens in further for token in (tokens.values() if isinstance(tokens, dict) else tokens)]
    found += [token["content"] if isinstance(token, dict) else token for token in named if token]
    special = tuple(token for token in dict.fromkeys(found) if token)
    text = _template(config.get("chat_template")) if template is None else template
    return ControlTokens(special, template_markers(text, special, tuple(token["content"] for token in added)))


@lru_cache(maxsize=8)
def template_markers(template: str, special: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    """The markers of `ControlTokens`: added tokens that a chat template writes, by its source, or that are written like a special one, as
    <｜User｜> of DeepSeek is, and what else the template writes in the form of a token."""
    found = {token for token in added if token.strip() and (token in template or _BARS.fullmatch(token))} | set(_MARKER.findall(template))
    return tuple(sorted(found.difference(special)))


def _template(named: Any) -> str:
    """A configuration's chat template: a text, or several with their names."""
    if isinstance(named, str):
        return named
    return "\n".join(str(each.get("template", "")) for each in named if isinstance(each, dict)) if isinstance(named, list) else ""


def as_data(value: Any) -> str:
    """A value as JSON for a model whose tokenizer is not known, such as a judge.

    What has the form of a control token begins with an escape. The JSON means the same, and no tokenizer finds the token in it.
    Raises what `json.dumps` raises.
    """
    text = json.dumps(value, ensure_ascii=False)  # outside of its strings JSON has neither such brackets nor words in capitals
    return _KNOWN.sub(lambda match: f"\\u{ord(match[0][0]):04x}{match[0][1:]}", text)


class Escape:
    """Breaks every control token of a tokenizer in texts: `<|im_end|>` becomes `< |im_end|>`, which a tokenizer reads as text.

    A token of one character becomes U+FFFD; one of white space cannot be broken and stays. What holds no control token stays as it is.
    The assistant's messages keep the template's markers, which are its own.
    """

    def __init__(self, tokens: ControlTokens) -> None:
        self._special, self._all = _pattern(tokens.special), _pattern((*tokens.special, *tokens.markers))

    def text(self, text: str) -> str:
        """A user's text without a control token or marker."""
        return _without(self._all, text)

    def answer(self, text: str) -> str:
        """An answer without a control token."""
        return _without(self._special, text)

    def found(self, text: str) -> list[str]:
        """The control tokens and markers in a user's text, each once."""
        return list(dict.fromkeys(self._all.findall(text))) if self._all else []

    def found_in_answer(self, text: str) -> list[str]:
        """The control tokens in an answer, each once."""
        return list(dict.fromkeys(self._special.findall(text))) if self._special else []

    def value(self, value: Any) -> Any:
        """A JSON value without a control token or marker in its strings and keys."""
        return self._value(value, self._all)

    def chat(self, chat: Chat) -> Chat:
        """A chat without a control token; roles are those of `ftassets.domain.chat`."""
        if self._all is None:
            return chat
        return Chat([self._message(message) for message in chat.messages], None if chat.tools is None else self.value(chat.tools))

    def _value(self, value: Any, pattern: re.Pattern[str] | None) -> Any:
        if isinstance(value, str):
            return _without(pattern, value)
        if isinstance(value, Mapping):
            return {_without(pattern, key): self._value(item, pattern) for key, item in value.items()}
        return [self._value(item, pattern) for item in value] if isinstance(value, list) else value

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        pattern = self._special if message.get("role") == "assistant" else self._all
        written = {key: value if key == "role" else self._value(value, pattern) for key, value in message.items()}
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


def _pattern(tokens: Iterable[str]) -> re.Pattern[str] | None:
    names = sorted((token for token in tokens if token.strip()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names))) if names else None


def _without(pattern: re.Pattern[str] | None, text: str) -> str:
    while pattern is not None and pattern.search(text):  # a broken token may be another one
        text = pattern.sub(lambda match: _broken(match[0]), text)
    return text


def _broken(token: str) -> str:
    first = len(token) - len(token.lstrip())
    if len(token.strip()) == 1:
        return "\ufffd"
    return f"{token[: first + 1]} {token[first + 1 :]}"


@lru_cache(maxsize=8)
def escape_of(tokens: ControlTokens) -> Escape:
    """The escape of a tokenizer's control tokens."""
    return Escape(tokens)


def tokens_in(asked: Asked, escape: Escape) -> list[str]:
    """The control tokens that the texts of a request hold, each once, and the markers that are not the assistant's own."""
    found: dict[str, None] = {}
    for message in openai_messages(asked.messages):
        look = escape.found_in_answer if message["role"] == "assistant" else escape.found
        found.update(dict.fromkeys(token for text in _texts({**message, "role": ""}) for token in look(text)))
    found.update(dict.fromkeys(token for text in _texts(json.loads(asked.tools or "null")) for token in escape.found(text)))
    return list(found)


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
