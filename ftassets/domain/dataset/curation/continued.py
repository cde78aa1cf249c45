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
    asked = [b""] * len(rows)  # of rows with earlier turns what all of their messages are known by
    for place, row in enumerate(rows):
        if len(row.messages) > 1:
            *openings, asked[place] = _chain(row.turns)
            for digest in openings:
                later.setdefault(digest, []).append(place)
    linked: list[tuple[int, int]] = []
    first: dict[bytes, int] = {}
    for place, row in enumerate(rows) if later else ():
        digest = asked[place] or _chain(row.turns)[-1]
        if digest not in later:
            continue
        if _is_short(row.turns):
            digest = _chain((*row.turns, Message(role="assistant", content=row.completion)))[-1]
        if digest in later:
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
        asked = [*(_element(message, form) for message in row.turns), _said("assistant", answer_key(row.completion, form))]
        wanted.setdefault(asked[0], []).append((asked, place))
    begin = {element.partition(":")[0] for element in wanted}
    found: dict[int, int] = {}
    for position, row in enumerate(rows) if wanted else ():
        if len(row.messages) > 2:
            earlier = row.turns[: -len(row.last_turn)]
            for start, message in enumerate(earlier):
                for asked, place in wanted.get(_element(message, form), ()) if message.role in begin else ():
                    if asked == [_element(each, form) for each in earlier[start : start + len(asked)]]:
                        found.setdefault(position, place)
    return found


def _element(message: Message, form: AnswerForm) -> str:
    answer = message.role == "assistant" and message.content
    return _said(message.role, answer_key(message.content or "", form) if answer else message_text(message))


def _is_short(messages: Conversation) -> bool:
    """Whether the texts have less than three words; in scripts without spaces as many as their letters make."""
    if sum(len((message.content or "").split()) for message in messages) >= LEAST:
        return False
    spaceless = (message.content for message in messages if message.content and not message.content.isascii())
    return sum(sum(size_of(words_of(text))) / 10 for text in spaceless) < LEAST


def _said(role: str, text: str) -> str:
    return f"{role}: {' '.join(words_of(text))}"


def _chain(messages: Conversation) -> list[bytes]:
    """A digest of the first message, of the first two, and so on."""
    digests = [b""]
    for message in messages:
        digests.append(hashlib.blake2b(digests[-1] + said(message).encode(), digest_size=16).digest())
    return digests[1:]
