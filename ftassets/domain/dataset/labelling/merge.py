"""What new labels change among those that a loop has: rows are known by their request, in whatever batch or file they come."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ftassets.domain.dataset.curation.text import answer_key
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm


@dataclass
class Merged:
    """Rows of the batches that new labels belong to, and how many were added, replaced a row, or changed nothing."""

    batches: dict[str, list[Example]] = field(default_factory=dict)
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    refused: list[Quarantined] = field(default_factory=list)


def merge(
    stored: Mapping[str, Sequence[Example]], new: Mapping[str, Sequence[Example]], form: AnswerForm, exported: Collection[str] = ()
) -> Merged:
    """Put the rows of new labels, by batch, among the stored ones, by batch.

    A row for a request without a label is added to its batch. For a request that has one, a row of the same annotator replaces it where it
    is, unless it is older, as one without a time is than one with a time. A row of another annotator changes nothing if it gives the same
    answer. With another answer it is refused, unless its batch is one of the `exported` and not that of the stored row, and it does not
    say that it is older: then people were asked again, and have decided.
    """
    merged = Merged()
    place = {row.request_id: (batch, number) for batch, rows in stored.items() for number, row in enumerate(rows)}
    for batch, rows in new.items():
        for row in rows:
            if row.request_id not in place:
                into = merged.batches.setdefault(batch, list(stored.get(batch, ())))
                place[row.request_id] = batch, len(into)
                into.append(row)
                merged.added += 1
                continue
            home, number = place[row.request_id]
            into = merged.batches.setdefault(home, list(stored.get(home, ())))
            old = into[number]
            asked_again = batch in exported and batch != home and not (row.at is not None and _is_older(row, old))
            if not asked_again and (refused := _refused(old, row, form)) is not None:
                merged.refused.append(Quarantined(f"label:{batch}:{row.request_id}", refused, row.completion[:500]))
            elif old == row or (_same(old, row, form) and (old.user != row.user or _is_older(row, old))):
                merged.unchanged += 1
            else:
                into[number] = row
                merged.replaced += 1
    return merged


def _same(old: Example, row: Example, form: AnswerForm) -> bool:
    return answer_key(old.completion, form) == answer_key(row.completion, form)


def _refused(old: Example, row: Example, form: AnswerForm) -> str | None:
    if old.user != row.user:
        return (
            None
            if _same(old, row, form)
            else f"another annotator gave this request another answer, which is stored: {old.completion[:80]!r}"
        )
    if _is_older(row, old) and not _same(old, row, form):
        return f"the stored answer of this annotator {'is newer' if row.at is not None else 'has a time, and this one has none'}"
    return None


def _is_older(row: Example, other: Example) -> bool:
    """A row without a time is older than any other."""
    return other.at is not None and (row.at is None or row.at < other.at)
