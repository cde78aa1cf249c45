"""What the formats of labelling batches have in common."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ftassets.domain.canonical import keys_once
from ftassets.domain.chat import Asked, message_text, trimmed
from ftassets.domain.dataset.labelling.label import Label
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.imports.fields import seconds
from ftassets.errors import InvalidInput

_SHOWN = 500  # characters of a record that makes no label
BATCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PLAIN = ("system", "user", "assistant")

Parsed = tuple[list[Label], list[Quarantined]]


def labelled(
    request_id: Any, completion: Any, annotator: Any, at: Any, messages: Any = None, tools: Any = None, truth: bool = False
) -> Iterator[Label | ValueError]:
    """The label of what a tool wrote, or what is missing in it. An answer may be JSON itself or text.

    `messages` and `tools` in OpenAI's form are the conversation as the file has it; what is not one of texts counts as missing.
    """
    try:
        if not isinstance(request_id, str) or not request_id:
            raise ValueError("it does not say which request it labels")
        if isinstance(completion, dict):
            completion = json.dumps(completion, ensure_ascii=False)
        if completion is None or completion == "" or (isinstance(completion, str) and not completion.strip()):
            raise ValueError("no annotator answered it")
        if not isinstance(completion, str):
            raise ValueError("its answer is neither a text nor a JSON object")
        name = "" if annotator is None else str(annotator)
        yield Label(request_id, trimmed(completion), name, seconds(at), _asked(messages, tools), truth)
    except (ValueError, RecursionError) as error:
        yield ValueError("nested too deep" if isinstance(error, RecursionError) else str(error))


def _asked(messages: Any, tools: Any) -> Asked | None:
    try:
        return Asked.read(messages, tools) if messages else None
    except ValueError:
        return None


def shown(asked: Asked) -> list[dict[str, str]]:
    """The conversation as tools show it, an entry with role and text per message; tools that may be called come first.

    It has no more than texts: `carried` tells whether that is all of it.
    """
    first = [{"role": "tools", "content": asked.tools}] if asked.tools else []
    return first + [{"role": message.role, "content": message_text(message)} for message in asked.messages]


def carried(entries: Any) -> Any:
    """Messages of entries that `shown` made, None if the conversation was more than their texts: it had tools."""
    plain = isinstance(entries, list) and all(isinstance(entry, dict) and entry.get("role") in _PLAIN for entry in entries)
    return [{"role": entry["role"], "content": entry.get("content")} for entry in entries] if plain else None


def collect(records: Iterable[tuple[str, Any]], labels_of: Callable[[Any], Iterable[Label | ValueError]]) -> Parsed:
    """Labels of records, given with their place, and what made none: a whole record, or one answer of it."""
    labels: list[Label] = []
    bad: list[Quarantined] = []
    for where, record in records:
        try:
            batch = batch_in(record)
            found = [replace(one, batch=batch) if isinstance(one, Label) else one for one in labels_of(record)]
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            found = [error if isinstance(error, ValueError) else ValueError("in another form than this format's")]
        labels += [one for one in found if isinstance(one, Label)]
        bad += [Quarantined(where, str(one), _beginning(record)) for one in found if isinstance(one, ValueError)]
    return labels, bad


def _beginning(record: Any) -> str:
    try:
        return json.dumps(record)[:_SHOWN]
    except RecursionError:
        return ""


def batch_in(record: Any) -> str | None:
    """The id of the batch that the export wrote into a record. Raises ValueError for one that it cannot have written."""
    places = [record, *(record.get(name) for name in ("metadata", "data"))] if isinstance(record, dict) else []
    named = [place.get(name) for place in places if isinstance(place, dict) for name in ("batch", "metadata.batch")]
    found = next((name for name in named if name not in (None, "")), None)
    if found is not None and not (isinstance(found, str) and BATCH_NAME.fullmatch(found)):
        raise ValueError(f"{str(found)[:80]!r} is not the id of a batch")
    return found


def json_list(text: str, what: str) -> list[tuple[str, Any]]:
    """The members of a JSON list, or of the one in `items` of an object, with their places.

    Raises ValueError if the text is neither: then nothing is taken from it.
    """
    try:
        members = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=keys_once)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not a JSON file of {what}s: {'nested too deep' if isinstance(error, RecursionError) else error}") from error
    if isinstance(members, dict):  # a page of Argilla's API
        members = members.get("items")
    if not isinstance(members, list):
        raise InvalidInput(f"not a JSON list of {what}s")
    return [(f"{what} {number}", member) for number, member in enumerate(members, start=1)]
