"""Rows of one conversation: of which one asks what the other has behind it."""

import hashlib
from collections.abc import Sequence

from ftassets.domain.chat import Conversation, Message, message_text
from ftassets.domain.dataset.curation.text import answer_key, said, size_of, words_of
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm

LEAST = 3  # words from which an opening tells conversations apart: "hello" opens many


def continued(rows: Sequence[Example]) -> list[tuple[int, int]]:
    """Positions of rows (one, other) of one conversation, where the messages of one row begin those of others.

    An opening of less than three words counts only where its answer follows too. All that continue an opening are linked to the
    first row that asks it, and so are the rows that ask the same. System messages do not count: many hold the time of the request.
    """
    later: dict[bytes, list[int]] = {}  # an opening -> rows that continue it
    for place, row in enumerate(rows):
        if len(row.messages) > 1:
            for digest in _chain(row.turns)[:-1]:
                later.setdefault(digest, []).append(place)
    linked: list[tuple[int, int]] = []
    first: dict[bytes, int] = {}
    for place, row in enumerate(rows) if later else ():
        opening = row.turns
        if sum(len((message.content or "").split()) for message in opening) < LEAST and _words(opening) < LEAST:
            opening = (*opening, Message(role="assistant", content=row.completion))
        if (digest := _chain(opening)[-1]) in later:
            if (known := first.setdefault(digest, place)) == place:
                linked += [(place, other) for other in later[digest]]
            else:
                linked.append((known, place))
    return linked


def taught_earlier(rows: Sequence[Example], golden: Sequence[Example], form: AnswerForm) -> dict[int, int]:
    """Rows that have a golden row's messages and then its answer among their earlier turns: position -> position of the golden row.

    System messages and punctuation do not count.
    """
    wanted: dict[str, list[tuple[list[str], int]]] = {}
    for place, row in enumerate(golden):
        asked = [*_elements(row.turns, form), _element("assistant", answer_key(row.completion, form))]
        wanted.setdefault(asked[0], []).append((asked, place))
    found: dict[int, int] = {}
    for position, row in enumerate(rows):
        if len(row.messages) > 2:
            elements = _elements(row.turns[: -len(row.last_turn)], form)
            for start, element in enumerate(elements):
                for asked, place in wanted.get(element, ()):
                    if elements[start : start + len(asked)] == asked:
                        found.setdefault(position, place)
    return found


def _elements(messages: Conversation, form: AnswerForm) -> list[str]:
    return [
        _element(
            message.role, answer_key(message.content, form) if message.role == "assistant" and message.content else message_text(message)
        )
        for message in messages
    ]


def _words(messages: Conversation) -> float:
    """Words of the texts; in scripts without spaces as many as their letters make."""
    return sum(sum(size_of(words_of(message.content))) / 10 for message in messages if message.content and not message.content.isascii())


def _element(role: str, text: str) -> str:
    return f"{role}: {' '.join(words_of(text))}"


def _chain(messages: Conversation) -> list[bytes]:
    """A digest of the first message, of the first two, and so on."""
    digests = [b""]
    for message in messages:
        digests.append(hashlib.blake2b(digests[-1] + said(message).encode(), digest_size=16).digest())
    return digests[1:]
