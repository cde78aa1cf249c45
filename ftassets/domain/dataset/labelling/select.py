"""Which requests people should label next."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.curation.conflicts import Conflict
from ftassets.domain.dataset.curation.copies import parts_of
from ftassets.domain.dataset.curation.near_pairs import GRAM
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.traffic.exchange import ANSWERED, Exchange, asked_in
from ftassets.domain.traffic.feedback import Feedback, FeedbackVerdict

FAILED, NOVEL, RANDOM, CONFLICT = "failed", "novel", "random", "conflict"


@dataclass(frozen=True)
class Item:
    """One request to label; why it was chosen is `failed`, `novel`, `random` or `conflict`."""

    request_id: str
    messages: str  # as in the exchange
    answer: str
    version: str
    at: float
    why: str = RANDOM
    distance: float | None = None  # cosine distance to what production knows
    comment: str | None = None  # what the user said of the answer

    @cached_property
    def asked(self) -> Asked:
        """The conversation. Raises ValueError if it is not one of texts."""
        return asked_in(self.messages)


def candidates(
    exchanges: Iterable[Exchange],
    feedback: Mapping[str, Feedback],
    labelled: Collection[str],
    canaries: Collection[str],
    distances: Mapping[str, float],
    novel_above: float,
    form: AnswerForm,
) -> list[Item]:
    """Requests worth labelling: answers that are neither corrected, rated up nor labelled, and requests on which a canary failed.

    `feedback` is what the feedback on each answer adds up to, by its id, `labelled` are ids of requests with a label, `canaries` the
    versions that were candidates. A canary failed on a request if it answered with an error or not in the
    task's form, or if the answer was rated down. A request is novel from a distance above `novel_above`, for example the reference's
    95 % quantile.
    """
    found = []
    for exchange in exchanges:
        said = feedback.get(exchange.id)
        verdict = said.verdict if said else None
        if exchange.id in labelled or verdict in (FeedbackVerdict.CORRECTION, FeedbackVerdict.THUMBS_UP):
            continue
        answered = exchange.status == ANSWERED and bool(exchange.answer.strip())
        rated_down = verdict is FeedbackVerdict.THUMBS_DOWN
        failed = exchange.version in canaries and (not answered or rated_down or not form.well_formed(exchange.answer))
        if not answered and not failed:
            continue
        distance = distances.get(exchange.id)
        why = FAILED if failed else NOVEL if distance is not None and distance > novel_above else RANDOM
        found.append(
            Item(
                exchange.id,
                exchange.messages,
                exchange.answer,
                exchange.version,
                exchange.at,
                why,
                distance,
                said.comment if said else None,
            )
        )
    return found


def contested(conflicts: Iterable[Conflict], rows: Iterable[Example]) -> list[str]:
    """One request of each conflict that people should decide, by its id: that of the best answer that has one.

    Left out are conflicts that a label decides, and those without a row of a request, for example between rows of the seed.
    """
    requests = {row.id: row.request_id for row in rows if row.request_id}
    found = []
    for conflict in conflicts:
        if conflict.decided_by == "source" and conflict.answers[0].source == "label":
            continue
        named = [requests[row] for answer in conflict.answers for row in answer.rows if row in requests]
        found += named[:1]
    return found


def shortlist(items: Sequence[Item], size: int, seed: int = 0) -> list[Item]:
    """The first `size` items in the order of `select`: what a longer list would begin with too."""
    lot = {name: float(place) for place, name in enumerate(fixed_sample((item.request_id for item in items), len(items), seed))}
    rank = {
        CONFLICT: lambda item: (0, -item.at),
        FAILED: lambda item: (0, -item.at),
        NOVEL: lambda item: (1, -(item.distance or 0.0)),
        RANDOM: lambda item: (2, lot[item.request_id]),
    }
    return sorted(items, key=lambda item: (*rank[item.why](item), item.request_id))[:size]


def select(items: Sequence[Item], limit: int, near: float = 0.6, seed: int = 0) -> list[Item]:
    """At most `limit` items, one of each request: failed ones first, then novel ones from the farthest on, then the rest at random.

    Two requests are one when they are copies (`curation.copies`) with a Jaccard index of at least `near`. Failed ones come newest
    first. A conversation that is not one of texts makes no row, and is left out. The same items give the same choice for the same
    seed, in whatever order they come.
    """
    chosen: list[Item] = []
    taken: list[list[tuple[str, frozenset[str]]]] = []
    for item in shortlist(items, len(items), seed):
        if len(chosen) >= limit:
            break
        try:
            parts = [
                (text, frozenset(text[start : start + GRAM] for start in range(len(text) - GRAM + 1))) for text in parts_of(item.asked)
            ]
        except ValueError:
            continue
        if not any(all(_near(one, other, near) for one, other in zip(parts, others, strict=True)) for others in taken):
            chosen.append(item)
            taken.append(parts)
    return chosen


def _near(one: tuple[str, frozenset[str]], other: tuple[str, frozenset[str]], limit: float) -> bool:
    common, both = len(one[1] & other[1]), len(one[1] | other[1])
    return one[0] == other[0] or (common > 0 and common >= limit * both)
