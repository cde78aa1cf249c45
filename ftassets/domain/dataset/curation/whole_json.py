"""A step that changes texts leaves JSON whole: what would be broken JSON, or have one key twice, is dropped and not published."""

from collections.abc import Iterator

from ftassets.domain.canonical import read_record
from ftassets.domain.dataset.rows import Example


def broken(before: Example, after: Example) -> str | None:
    """What of a row was JSON with each key once before it was changed and is not now, in words; None if nothing is."""
    for (place, old), (_, new) in zip(_documents(before), _documents(after), strict=False):
        if old != new and _is_whole(old) and not _is_whole(new):
            return f"{place} would have a key twice, or be no JSON, without what this step changes in it"
    return None


def _documents(row: Example) -> Iterator[tuple[str, str]]:
    yield "the answer", row.completion
    yield "a tool", row.tools or ""
    for message in row.messages:
        if message.role in ("assistant", "tool"):
            yield f"a message of {message.role}", message.content or ""
            yield from (("a tool call", call.arguments) for call in message.tool_calls or ())


def _is_whole(text: str) -> bool:
    try:
        read_record(text)
    except ValueError:
        return False
    return True
