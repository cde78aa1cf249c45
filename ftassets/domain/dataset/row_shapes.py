"""The shapes in which training rows are handed over, each as a conversation in OpenAI's form with the answer at its end.

OpenAI and TRL (`messages`), Alpaca and Dolly (`instruction`), ShareGPT (`conversations`), prompt and completion. A field that holds text is
used, or is one of the notes that no model reads, or the row is refused by its name.
"""

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ftassets.wording import amount

OWN = {"id", "slice", "group", "quality_score"}
NOTES = {  # about the row, by names of well-known datasets; `metadata` is for everything else
    "metadata", "category", "conversation_id", "created", "created_at", "dataset", "lang", "language", "model", "source", "split", "tags",
    "timestamp", "user", "uuid", "version",
}  # fmt: skip
_SHAREGPT = {
    "system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "tool": "tool", "observation": "tool",
}  # fmt: skip


class Turns(NamedTuple):
    """Messages as OpenAI's API has them, of which the last is the answer, and the tools the assistant may call."""

    messages: Any
    tools: Any = None


class _Shape(NamedTuple):
    fields: set[str]
    turns: Callable[[Mapping[str, Any]], Turns]


# words of the names under which numbers and flags say what a row is worth: training would not know them
_GOOD = {
    "accept", "accepted", "approved", "best", "correct", "good", "helpful", "keep", "kept", "preferred", "reviewed", "train", "trainable",
    "use", "valid", "validated", "verified",
}  # fmt: skip
_BAD = {
    "bad", "deleted", "deprecated", "discard", "discarded", "draft", "duplicate", "exclude", "excluded", "flagged", "hallucinated",
    "ignore", "ignored", "incorrect", "invalid", "reject", "rejected", "removed", "skip", "skipped", "spam", "toxic", "unsafe", "wrong",
}  # fmt: skip
_AMOUNT = {
    "confidence", "grade", "hallucination", "label", "labels", "likes", "loss", "quality", "rank", "rating", "reward", "score", "scores",
    "stars", "thumb", "thumbs", "toxicity", "upvotes", "vote", "votes", "weight",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def turns_of(row: Any) -> Turns:
    """The conversation of a row. Raises ValueError for a row of another shape, and for a field with text that would be lost."""
    named = [name for name in _SHAPES if isinstance(row, Mapping) and name in row]
    if len(named) > 1:
        raise ValueError(f"both {named[0]!r} and {named[1]!r}: leave one of them")
    if not named:
        raise ValueError('a row is an object with "messages", "instruction", "conversations" or "prompt"')
    shape = _SHAPES[named[0]]
    unused = _unused(row, shape)
    if lost := sorted(str(name) for name in unused if holds_text(row[name]) or _judges(str(name), row[name])):
        raise ValueError(f'the field {lost[0]!r} would be lost: write it into the messages, or into "metadata" if no model is to read it')
    return shape.turns(row)


def unread_fields(row: Mapping[str, Any]) -> list[str]:
    """Names of the fields of such a row that have a number or a flag which nothing reads, without personal data: reports list them."""
    from ftassets.domain.personal_data.texts import scrubbed_text  # compiles many patterns

    shape = next(shape for name, shape in _SHAPES.items() if name in row)
    return sorted(scrubbed_text(str(name)) for name in _unused(row, shape) if row[name] not in (None, [], {}, ""))


def _unused(row: Mapping[str, Any], shape: _Shape) -> set[Any]:
    return row.keys() - shape.fields - OWN - NOTES


def _judges(name: str, value: Any) -> bool:
    """Whether a number or a flag says that a row is worth less than others; a flag that says that it is good does not."""
    if value is None or (name, value) == ("weight", 1):
        return False
    words = set(_WORD.findall(_HUMP.sub(" ", name).lower()))
    if isinstance(value, bool):
        return bool(words & _AMOUNT) or bool(words & (_BAD if value else _GOOD))
    return bool(words & (_GOOD | _BAD | _AMOUNT))


def holds_text(value: Any) -> bool:
    """Whether there is a text anywhere in it; numbers and flags are notes."""
    if isinstance(value, Mapping):
        return any(map(holds_text, value.values()))
    if isinstance(value, list):
        return any(map(holds_text, value))
    return isinstance(value, str) and bool(value.strip())


def _chat(row: Mapping[str, Any]) -> Turns:
    return Turns(row["messages"], _tools(row))


def _instruction(row: Mapping[str, Any]) -> Turns:
    asked = [_text(row, "instruction"), _text(row, "input", "context", needed=False)]
    return Turns([
        *_system(row),
        *_history(row.get("history")),
        {"role": "user", "content": "\n\n".join(filter(None, asked))},
        {"role": "assistant", "content": _text(row, "response", "output")},
    ])  # fmt: skip


def _history(history: Any) -> list[dict[str, Any]]:
    """Earlier turns as pairs of request and answer."""
    if not history:
        return []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise ValueError("the field 'history' is not a list of pairs of request and answer")
    return [{"role": role, "content": text} for pair in history for role, text in zip(("user", "assistant"), pair, strict=True)]


def _prompt(row: Mapping[str, Any]) -> Turns:
    prompt, completion = row["prompt"], row.get("completion")
    if isinstance(prompt, list) and isinstance(completion, list):
        return Turns([*_system(row), *prompt, *completion], _tools(row))
    asked, answer = _text(row, "prompt"), _text(row, "completion")
    return Turns([*_system(row), {"role": "user", "content": asked}, {"role": "assistant", "content": answer}], _tools(row))


def _sharegpt(row: Mapping[str, Any]) -> Turns:
    members = row["conversations"]
    if not isinstance(members, list):
        raise ValueError('"conversations" is not a list')
    said = [_said(member, number) for number, member in enumerate(members, start=1)]
    return Turns([*_system(row), *_parallel(members, said)], _tools(row))


def _parallel(members: Sequence[Any], turns: Sequence[Any]) -> list[Any]:
    """The turns with calls in a row as those of one message, whose results follow in the same order."""
    made: list[Any] = []
    waiting: list[dict[str, Any]] = []
    for called, group in itertools.groupby(zip(members, turns, strict=True), key=lambda pair: _is_call(pair[0])):
        found = [turn for _, turn in group]
        if called:
            waiting = [call for turn in found for call in turn["tool_calls"]]
            if len(waiting) > 1:
                waiting = [{**call, "id": f"call_{len(made)}_{number}"} for number, call in enumerate(waiting)]
            made.append({name: value for turn in found for name, value in turn.items()} | {"tool_calls": waiting})
            continue
        if len(waiting) > 1:
            results = list(itertools.takewhile(lambda turn: isinstance(turn, Mapping) and turn.get("role") == "tool", found))
            if len(results) != len(waiting):
                raise ValueError(f"{len(waiting)} calls in a row have {amount(len(results), 'result')}: nothing says of which call it is")
            found[: len(results)] = [{**result, "tool_call_id": call["id"]} for result, call in zip(results, waiting, strict=True)]
        made += found
    return made


def _is_call(member: Any) -> bool:
    return isinstance(member, Mapping) and member.get("from") == "function_call"


def _said(member: Any, number: int) -> Any:
    if not isinstance(member, Mapping) or "from" not in member:
        return member  # many files have OpenAI's messages under this name
    rest = {name: value for name, value in member.items() if name not in ("from", "value")}
    speaker, value = member["from"], member.get("value")
    if speaker == "function_call":
        read = _loads(value)
        calls = read if isinstance(read, list) and read else [read]
        if not all(isinstance(call, Mapping) for call in calls):
            raise ValueError(f"message {number}: the value of a function_call is neither a JSON object nor a list of them")
        return {**rest, "role": "assistant", "tool_calls": [{"function": call} for call in calls]}
    if not isinstance(speaker, str) or speaker not in _SHAREGPT:
        raise ValueError(f"message {number}: 'from' is {str(speaker)[:30]!r}, known are {', '.join(_SHAREGPT)} and function_call")
    return {**rest, "role": _SHAREGPT[speaker], "content": value}


def _system(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = _text(row, "system", needed=False)
    return [{"role": "system", "content": text}] if text else []


def _tools(row: Mapping[str, Any]) -> Any:
    return _loads(row.get("tools"))


def _loads(value: Any) -> Any:
    """What a text holds as JSON: files for Parquet have nested values as text."""
    if isinstance(value, str) and value.strip():
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value or None


def _text(row: Mapping[str, Any], *names: str, needed: bool = True) -> str:
    """The text of the one field that has some."""
    filled = [name for name in names if row.get(name) not in (None, "")]
    if len(filled) > 1:
        raise ValueError(f"both {filled[0]!r} and {filled[1]!r}: leave one of them")
    text = row[filled[0]] if filled else ""
    if not isinstance(text, str) or (needed and not text.strip()):
        raise ValueError(f"{' or '.join(repr(name) for name in names)} is not a text" + (" or has none" if needed else ""))
    return text


_SHAPES = {
    "messages": _Shape({"messages", "tools"}, _chat),
    "instruction": _Shape({"instruction", "input", "context", "response", "output", "system", "history"}, _instruction),
    "conversations": _Shape({"conversations", "tools", "system"}, _sharegpt),
    "prompt": _Shape({"prompt", "completion", "tools", "system"}, _prompt),
}
