"""What new labels change among those that a loop has: rows are known by their request, in whatever batch or file they come."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ftassets.domain.dataset.curation.text import answer_key
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm


@dataclass
class Merged:
    """Rows of the batches that new labels belong to, and how many were added, replaced a row, or changed nothing.

    `agree` and `disagree` are requests that have a label of another annotator, by whether it gives the same answer.
    """

    batches: dict[str, list[Example]] = field(default_factory=dict)
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    agree: set[str] = field(default_factory=set)
    disagree: set[str] = field(default_factory=set)
    refused: list[Quarantined] = field(default_factory=list)


def merge(
    stored: Mapping[str, Sequence[Example]], new: Mapping[str, Sequence[Example]], form: AnswerForm, exported: Collection[str] = ()
) -> Merged:
    """Put the rows of new labels, by batch, among the stored ones, by batch.

    A request has one row of each annotator, and all of them give the same answer. A row for a request without a label, or whose stored
    answer it gives too, is added to its batch. A row of the same annotator replaces the stored one where it is, unless it is older, as one
    without a time is than one with a time; where others gave the answer that it revises, it is refused, and the revised one is gone.
    With another answer than another annotator's it is refused, unless its batch is one of the `exported` and not that of a stored row,
    and it does not say that it is older: then people were asked again, and have decided; rows with the answer before are gone.
    """
    merged, labels = Merged(), _Labels(stored)
    for batch, rows in new.items():
        for row in rows:
            known = labels.of(row)
            labels.touched |= {home for home, _ in known}
            own = next((place for place in known if labels.at(place).user == row.user), None)
            others = [place for place in known if place != own]
            differ = [place for place in known if not _same(labels.at(place), row, form)]
            if others:
                (merged.disagree if any(place in differ for place in others) else merged.agree).add(row.request_id or "")
            old = labels.at(own) if own else None
            if differ and _asked_again(batch, row, known, labels, exported):
                labels.put(own or others[0], row)
                for place in differ:
                    if place != (own or others[0]):
                        labels.put(place, None)
                merged.replaced += 1
            elif old and (old == row or (own not in differ and _is_older(row, old))):
                merged.unchanged += 1
            elif old and _is_older(row, old):
                reason = f"the stored answer of this annotator {'is newer' if row.at is not None else 'has a time, and this one has none'}"
                merged.refused.append(_refused(batch, row, reason))
            elif other := next((place for place in others if place in differ), None):
                reason = f"another annotator gave this request another answer, which is stored: {labels.at(other).completion[:80]!r}"
                merged.refused.append(_refused(batch, row, reason))
                if own:  # the answer that it revises
                    labels.put(own, None)
            elif own:
                labels.put(own, row)
                merged.replaced += 1
            else:
                labels.add(batch, row)
                merged.added += 1
    merged.batches = {batch: list(labels.rows[batch].values()) for batch in sorted(labels.touched)}
    return merged


Place = tuple[str, int]  # batch, and number in it


class _Labels:
    """The rows of all batches, which are found by their request; `touched` are the batches that may have changed."""

    def __init__(self, stored: Mapping[str, Sequence[Example]]) -> None:
        self.rows: dict[str, dict[int, Example]] = {}
        self.touched: set[str] = set()
        self._places: dict[str | None, list[Place]] = {}
        for batch, rows in stored.items():
            self.rows[batch] = {}
            for row in rows:
                self.add(batch, row)
        self.touched.clear()

    def of(self, row: Example) -> list[Place]:
        return list(self._places.get(row.request_id, ()))

    def at(self, place: Place) -> Example:
        return self.rows[place[0]][place[1]]

    def add(self, batch: str, row: Example) -> None:
        rows = self.rows.setdefault(batch, {})
        place = batch, next(reversed(rows), -1) + 1
        rows[place[1]] = row
        self._places.setdefault(row.request_id, []).append(place)
        self.touched.add(batch)

    def put(self, place: Place, row: Example | None) -> None:
        """Another row in its place, or none."""
        if row is None:
            self._places[self.at(place).request_id].remove(place)
            del self.rows[place[0]][place[1]]
        else:
            self.rows[place[0]][place[1]] = row
        self.touched.add(place[0])


def _asked_again(batch: str, row: Example, known: Sequence[Place], labels: _Labels, exported: Collection[str]) -> bool:
    """Whether people were given the request of a row once more, after they had answered it."""
    later = not any(row.at is not None and _is_older(row, labels.at(place)) for place in known)
    return later and batch in exported and all(batch != home for home, _ in known)


def _refused(batch: str, row: Example, reason: str) -> Quarantined:
    return Quarantined(f"label:{batch}:{row.request_id}", reason, row.completion[:500])


def _same(old: Example, row: Example, form: AnswerForm) -> bool:
    return answer_key(old.completion, form) == answer_key(row.completion, form)


def _is_older(row: Example, other: Example) -> bool:
    """A row without a time is older than any other."""
    return other.at is not None and (row.at is None or row.at < other.at)
