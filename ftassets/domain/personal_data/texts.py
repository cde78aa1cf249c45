"""Conversations, answers and documents without personal data: JSON is read value by value and stays JSON."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ftassets.domain.chat import Asked, Conversation, texts, with_texts
from ftassets.domain.json_strings import TOKEN, as_token, is_json, with_strings
from ftassets.domain.personal_data.accounts import digits, windows
from ftassets.domain.personal_data.finding import find, may_hold
from ftassets.domain.personal_data.folding import folded
from ftassets.domain.personal_data.labels import BEFORE, as_label
from ftassets.domain.personal_data.spans import Finder, Span, redact, resolved
from ftassets.domain.scripts import is_whole

_RUN = re.compile(r"[0-9](?:[ .()/-]{0,4}[0-9]){5,}")


def scrubbed_text(text: str, names: Finder | None = None) -> str:
    """A text without personal data; if it is JSON its values are read, for people's names too, and it stays JSON."""
    if names is None and not may_hold(text):
        return text
    [cleaned], _ = _scrubbed([_Text(text, is_json(text), with_names=True)], names)
    return cleaned


def without_personal_data(
    messages: Conversation, answers: Sequence[str], names: Finder | None = None
) -> tuple[Conversation, list[str], Counter[str]]:
    """A conversation and answers to it with personal data replaced, and how much there was of each kind.

    A phone number or name found in one text is replaced in all. An answer, a tool's result or arguments of a call that are JSON stay
    JSON; `names` reads prose only; what it finds there is replaced in the values of JSON too. An id of a call gets another one.
    """
    asked = len(texts(messages))
    cleaned, found = _scrubbed(_written(messages, answers), names)
    ids = call_ids(messages)
    personal = [name for name in ids if (spans := find(name, "id")) and not found.update(span.kind for span in spans)]
    free = (name for number in itertools.count(1) if (name := f"call_{number}") not in ids)
    renamed = dict(zip(personal, free, strict=False))
    return _with_ids(with_texts(messages, cleaned[:asked]), renamed), cleaned[asked:], found


def tools_without_personal_data(tools: str | None) -> tuple[str | None, Counter[str]]:
    """Tools with personal data replaced in their strings, and how much there was of each kind; numbers, such as limits, are left."""
    found: Counter[str] = Counter()

    def clean(text: str) -> str:
        while spans := find(text):
            found.update(span.kind for span in spans)
            text = redact(text, spans)
        return text

    return (with_strings(tools, clean) if tools else tools), found


def holds_personal_data(asked: Asked, answers: Sequence[str]) -> bool:
    """Whether `find` finds something in a text of the request, its tools, names and ids included, or in one of the answers."""
    written = _written(asked.messages, answers) if any(map(may_hold, [*texts(asked.messages), *answers])) else []
    said = any(find(text, label) for one in written for label, text in one.parts())
    named = any(map(find, tool_names(asked))) or any(find(name, "id") for name in call_ids(asked.messages))
    return said or named or bool(tools_without_personal_data(asked.tools)[1])


def call_ids(messages: Conversation) -> list[str]:
    """The ids of a conversation's calls, each once."""
    calls = [call.id for message in messages for call in message.tool_calls or ()]
    return list(dict.fromkeys(name for name in [*calls, *(message.tool_call_id for message in messages)] if name))


def tool_names(asked: Asked) -> list[str]:
    """Names of the tools and of the calls."""
    tools = [tool.get("function", tool) for tool in (json.loads(asked.tools) if asked.tools else [])]
    names = [tool["name"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str)]
    return [*names, *(call.name for message in asked.messages for call in message.tool_calls or ())]


def _with_ids(messages: Conversation, renamed: Mapping[str, str]) -> Conversation:
    if not renamed:
        return messages

    def new(name: str | None) -> str | None:
        return renamed.get(name, name) if name else name

    return tuple(
        replace(
            message,
            tool_calls=message.tool_calls and tuple(replace(call, id=new(call.id)) for call in message.tool_calls),
            tool_call_id=new(message.tool_call_id),
        )
        for message in messages
    )


class _Text(NamedTuple):
    """A text, whether it is JSON that has to stay JSON, the words that stood before it, and whether people's names are in JSON's values."""

    text: str
    as_json: bool = False
    label: str = ""
    with_names: bool = False

    def parts(self) -> Iterator[tuple[str, str]]:
        """What is read as one text, each with its label: the text itself, or the values and keys of the document."""
        if not self.as_json:
            yield self.label, self.text
            return
        for label, text, _, _ in _tokens(self.text):
            yield label, text


def _written(messages: Conversation, answers: Sequence[str]) -> list[_Text]:
    """The texts of a conversation and of answers to it. What users write is always prose, and a short text answers what was asked."""
    found: list[_Text] = []
    before = ""
    for message in messages:
        if text := message.content:
            as_json = message.role in ("assistant", "tool") and is_json(text)
            found.append(_Text(text, as_json, before if len(text) <= BEFORE and not as_json else ""))
            before = text[-BEFORE:]
        found += [_Text(call.arguments, True) for call in message.tool_calls or ()]
    return found + [_Text(answer, is_json(answer)) for answer in answers]


def _scrubbed(written: Sequence[_Text], names: Finder | None) -> tuple[list[str], Counter[str]]:
    """The texts of one row without personal data, and how much there was of each kind."""
    found: Counter[str] = Counter()
    # what the words around it gave away in one place is replaced where they are missing, too
    phones: set[str] = set()
    persons: dict[str, str] = {}

    def look(text: str, label: str, with_names: bool) -> None:
        named = names(text) if names and with_names else []
        for span in resolved([*find(text, label), *named]):
            found[span.kind] += 1
            if span.kind == "PHONE":
                phones.add(digits(folded(text[span.start : span.end]).text))
            elif span in named:
                persons[text[span.start : span.end].lower()] = span.kind

    for one in written:
        for label, part in one.parts():
            look(part, label, with_names=one.with_names or not one.as_json)
    if not found:
        return [one.text for one in written], found

    def known(text: str) -> Iterator[Span]:
        view = folded(text)
        for run in _RUN.finditer(view.text) if phones else ():
            yield from (view.back(Span("PHONE", start, end)) for start, end in windows(run) if digits(view.text[start:end]) in phones)
        for person, kind in persons.items():
            for match in re.finditer(re.escape(person), text, re.IGNORECASE):
                if is_whole(text, *match.span()):
                    yield Span(kind, *match.span())

    def clean(text: str, label: str = "", is_key: bool = False) -> str:
        spans = [] if is_key else list(known(text))  # a key is the schema's word, even where it equals somebody's name
        while spans := [*spans, *find(text, label)]:  # again, since what a redaction leaves may have become recognisable
            text, spans = redact(text, spans), []
        return text

    def clean_json(document: str) -> str:
        parts, last = [], 0
        for label, text, is_key, match in _tokens(document):
            cleaned = clean(text, label, is_key)
            new = match[0] if cleaned == text else as_token(cleaned, match)
            parts += [document[last : match.start()], new]
            last = match.end()
        return "".join([*parts, document[last:]])

    return [clean_json(one.text) if one.as_json else clean(one.text, one.label) for one in written], found


def _tokens(document: str) -> Iterator[tuple[str, str, bool, re.Match[str]]]:
    """Strings and numbers of a JSON document: the key it belongs to, if any, the text, whether it is a key itself, and its place."""
    key = ""
    for match in TOKEN.finditer(document):
        quoted = match[1]
        text = (json.loads(quoted) if "\\" in quoted else quoted[1:-1]) if quoted else match[0]
        is_key = match[2] is not None
        yield "" if is_key else key, text, is_key, match
        key = as_label(text)[-BEFORE:] if is_key else key
