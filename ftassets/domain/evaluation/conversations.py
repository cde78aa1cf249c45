"""Golden rows that depend on each other: several of one conversation count as one in every bound, a row that is there twice once."""

from collections import Counter
from collections.abc import Hashable, Sequence

from ftassets.domain.dataset.curation.continued import continued
from ftassets.domain.dataset.curation.text import answer_key, request_digest
from ftassets.domain.dataset.rows import CONVERSATION, Example
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.evaluation.scored_turns import Turn


def distinct(rows: Sequence[Example], form: AnswerForm) -> list[Example]:
    """The rows without those that repeat request, answer and slice of an earlier one: a model is right on all of them or on none."""
    first: dict[Hashable, Example] = {}
    for row in rows:
        first.setdefault((row.messages, row.tools, answer_key(row.completion, form), row.slice), row)
    return list(first.values())


def linked(rows: Sequence[Example]) -> list[Example]:
    """The rows in their order, those of one conversation as `Turn`s of it, which has the id of its first row.

    Of one conversation are rows of which one begins with the messages of the other (`continued`), rows that ask the same, and rows whose
    file names it.
    """
    groups = list(range(len(rows)))

    def group(place: int) -> int:
        while groups[place] != place:
            groups[place] = place = groups[groups[place]]
        return place

    def join(one: int, other: int) -> None:
        low, high = sorted((group(one), group(other)))
        groups[high] = low

    for one, other in continued(rows):
        join(one, other)
    first: dict[Hashable, int] = {}
    for place, row in enumerate(rows):
        join(first.setdefault(request_digest(row), place), place)
        if row.group and row.group.startswith(CONVERSATION):
            join(first.setdefault(row.group, place), place)
    found = [group(place) for place in range(len(rows))]
    sizes = Counter(found)
    return [row if sizes[place] == 1 else Turn(**dict(row), conversation=rows[place].id) for row, place in zip(rows, found, strict=True)]
