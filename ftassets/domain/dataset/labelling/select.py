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

FAILED, CONFLICT, NOVEL, DISLIKED, RANDOM = "failed", "conflict", "novel", "disliked", "random"
SHARES = {FAILED: 0.1, CONFLICT: 0.1, NOVEL: 0.4, DISLIKED: 0.2, RANDOM: 0.2}  # of a batch; what one has too few for goes to the others
PROVES = {
    FAILED: "a canary failed on them: what a candidate must answer",
    CONFLICT: "people answer them differently: which answer is right",
    NOVEL: "new to production: how well it answers new topics, and rows to learn them from",
    DISLIKED: "answers of production that were rated down: whether they are wrong, and what is right",
    RANDOM: "a random sample: how well production answers its traffic, which the others cannot say",
}


@dataclass(frozen=True)
class Item:
    """One request to label; why it was chosen is a key of `SHARES`."""

    request_id: str
    messages: str  # as in the exchange
    answer: str
    version: str
    at: float
    why: str = RANDOM
    distance: float | None = None  # cosine distance to what production knows
    comment: str | None = None  # tags and comment of the user on the answer

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
    """Requests worth labelling: answers that are neither corrected, rated up nor labelled, and requests on which a canary failed. An answer
    of another version that was rated down is disliked, whether it is novel or not.

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
        novel = distance is not None and distance > novel_above
        why = FAILED if failed else DISLIKED if rated_down else NOVEL if novel else RANDOM
        found.append(
            Item(
                exchange.id,
                exchange.messages,
                exchange.answer,
                exchange.version,
                exchange.at,
                why,
                distance,
                said.note if said else None,
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
    """The first `size` items of each kind, in the order of `select`: what a longer list would begin with too."""
    lot = {name: float(place) for place, name in enumerate(fixed_sample((item.request_id for item in items), len(items), seed))}
    place = {NOVEL: lambda item: -(item.distance or 0.0), RANDOM: lambda item: lot[item.request_id]}
    found: list[Item] = []
    for kind in SHARES:
        own = [item for item in items if item.why == kind]
        found += sorted(own, key=lambda item: (place.get(item.why, lambda each: -each.at)(item), item.request_id))[:size]
    return found


def places(available: Mapping[str, int], limit: int) -> dict[str, int]:
    """How many of `limit` places each kind gets: its share, at most what there is of it; what is left over goes to the others by share."""
    given = dict.fromkeys(SHARES, 0)
    while (left := min(limit, sum(available.get(kind, 0) for kind in SHARES)) - sum(given.values())) > 0:
        open_kinds = [kind for kind in SHARES if given[kind] < available.get(kind, 0)]
        total = sum(SHARES[kind] for kind in open_kinds)
        for kind in open_kinds:
            wanted = max(1, int(left * SHARES[kind] / total))
            given[kind] += min(wanted, available[kind] - given[kind], limit - sum(given.values()))
    return given


def select(items: Sequence[Item], limit: int, near: float = 0.6, seed: int = 0) -> list[Item]:
    """At most `limit` items, one of each request, mixed by `SHARES`: failed ones, conflicts, novel, disliked, and a random sample.

    Novel ones come from the farthest on, failed and disliked ones and conflicts from the newest on. Two requests are one when they are
    copies (`curation.copies`) with a Jaccard index of at least `near`; of several kinds, the first one counts. A conversation that is
    not one of texts makes no row, and is left out. The same items give the same choice for the same seed, in whatever order they come.
    """
    different: dict[str, list[Item]] = {kind: [] for kind in SHARES}
    taken: list[list[tuple[str, frozenset[str]]]] = []
    for item in shortlist(items, len(items), seed):
        if len(different[item.why]) >= limit:
            continue
        try:
            parts = [
                (text, frozenset(text[start : start + GRAM] for start in range(len(text) - GRAM + 1))) for text in parts_of(item.asked)
            ]
        except ValueError:
            continue
        if not any(all(_near(one, other, near) for one, other in zip(parts, others, strict=True)) for others in taken):
            different[item.why].append(item)
            taken.append(parts)
    given = places({kind: len(own) for kind, own in different.items()}, limit)
    return [item for kind, own in different.items() for item in own[: given[kind]]]


def _near(one: tuple[str, frozenset[str]], other: tuple[str, frozenset[str]], limit: float) -> bool:
    common, both = len(one[1] & other[1]), len(one[1] | other[1])
    return one[0] == other[0] or (common > 0 and common >= limit * both)
