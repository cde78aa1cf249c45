"""Golden rows that depend on each other: several of one conversation count as one in every bound, a row that is there twice once."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.continued import continued
from ftassets.domain.dataset.curation.near import drop_near
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.curation.text import answer_key, request_digest
from ftassets.domain.dataset.rows import CONVERSATION, Example
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.evaluation.scored_turns import Turn, conversation_of

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


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
    pairs = list(continued(rows))
    first: dict[Hashable, int] = {}
    for place, row in enumerate(rows):
        pairs.append((first.setdefault(request_digest(row), place), place))
        if row.group and row.group.startswith(CONVERSATION):
            pairs.append((first.setdefault(row.group, place), place))
    components = Components(len(rows))
    components.unite([one for one, _ in pairs], [other for _, other in pairs])
    parts = components.labels().tolist()
    heads: dict[int, str] = {}
    for row, part in zip(rows, parts, strict=True):
        heads.setdefault(part, row.id)
    sizes = Counter(parts)
    return [row if sizes[part] == 1 else Turn(**dict(row), conversation=heads[part]) for row, part in zip(rows, parts, strict=True)]


def near_copies(rows: Sequence[Example], loop: "LoopConfig") -> dict[str, str]:
    """Of `linked` rows that count by themselves, those that ask nearly what another one asks and have its answer, with the reason (by id).

    They tend to be right or wrong together, which no bound allows for.
    """
    alone = [row for row in rows if not conversation_of(row)]
    return {alone[place].id: why for place, why in drop_near(Pool(alone, list(range(len(alone)))), loop).dropped.items()}
