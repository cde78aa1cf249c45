"""A conversation of several answers, as the rows that score each of them."""

from collections.abc import Iterable

from ftassets.domain.dataset.rows import Example


class Turn(Example):
    """A row that depends on others: one answer of a conversation, whose request is what comes before it."""

    conversation: str  # id of its row, or of its first row


def scored_turns(row: Example) -> list[Example]:
    """A row for each answer of the conversation that is text, the row's own last; a row of one answer stays as it is.

    The id is that of the row with the number of the answer.

    Each is asked as the row has it: earlier answers are the expected ones, not those a model would have given. An answer that calls tools
    is not text, and one that no request comes before cannot be asked for: they are not scored.
    """
    places = [
        place
        for place, message in enumerate(row.messages)
        if message.role == "assistant" and message.content and place and row.messages[place - 1].role in ("user", "tool")
    ]
    if not places:
        return [row]
    answers = [(row.messages[:place], row.messages[place].content or "") for place in places] + [(row.messages, row.completion)]
    return [
        Turn(
            **{
                **dict(row),
                "id": f"{row.id}#{number}",
                "messages": before,
                "completion": answer,
                "conversation": conversation_of(row) or row.id,
            }
        )
        for number, (before, answer) in enumerate(answers, start=1)
    ]


def last_answers(rows: Iterable[Example]) -> list[Example]:
    """The rows without the earlier answers of a conversation: one row of each, which do not depend on each other."""
    last = {row.conversation if isinstance(row, Turn) else row.id: row for row in rows}
    return list(last.values())


def conversation_of(row: Example) -> str | None:
    """The conversation that a row is an answer of, None for a row by itself."""
    return row.conversation if isinstance(row, Turn) else None


def turn_number(turn: str) -> int | None:
    """The number of the answer in its conversation, from 1, by the id of its row; None for a row with one answer."""
    number = turn.rpartition("#")[2]
    return int(number) if "#" in turn and number.isdecimal() else None
