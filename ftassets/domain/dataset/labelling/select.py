"""Which requests people should label next."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ftassets.domain.dataset.curation.text import normalised
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.traffic.exchange import ANSWERED, Exchange, Feedback

_GRAM = 5
FAILED, NOVEL, RANDOM = "failed", "novel", "random"


@dataclass(frozen=True)
class Item:
    """One request to label; why it was chosen is `failed`, `novel` or `random`."""

    request_id: str
    prompt: str
    answer: str
    version: str
    at: float
    why: str = RANDOM
    distance: float | None = None  # cosine distance to what production knows


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

    `feedback` is the newest by request id, `labelled` are ids of requests with a label, `canaries` the versions that were
    candidates. A canary failed on a request if it answered with an error or not in the task's form, or if the answer was rated down.
    A request is novel from a distance above `novel_above`, for example the reference's 95 % quantile.
    """
    found = []
    for exchange in exchanges:
        said = feedback.get(exchange.id)
        if exchange.id in labelled or (said and (said.correction or said.rating == "up")):
            continue
        answered = exchange.status == ANSWERED and bool(exchange.answer.strip())
        rated_down = said is not None and said.rating == "down"
        failed = exchange.version in canaries and (not answered or rated_down or not form.well_formed(exchange.answer))
        if not answered and not failed:
            continue
        distance = distances.get(exchange.id)
        why = FAILED if failed else NOVEL if distance is not None and distance > novel_above else RANDOM
        found.append(Item(exchange.id, exchange.prompt, exchange.answer, exchange.version, exchange.at, why, distance))
    return found


def shortlist(items: Sequence[Item], size: int, seed: int = 0) -> list[Item]:
    """The first `size` items in the order of `select`: what a longer list would begin with too."""
    lot = {name: float(place) for place, name in enumerate(fixed_sample((item.request_id for item in items), len(items), seed))}
    rank = {
        FAILED: lambda item: (0, -item.at),
        NOVEL: lambda item: (1, -(item.distance or 0.0)),
        RANDOM: lambda item: (2, lot[item.request_id]),
    }
    return sorted(items, key=lambda item: (*rank[item.why](item), item.request_id))[:size]


def select(items: Sequence[Item], limit: int, near: float = 0.6, seed: int = 0) -> list[Item]:
    """At most `limit` items, one of each text: failed ones first, then novel ones from the farthest on, then the rest at random.

    Two texts are one when they are the same once normalised, or the Jaccard index of their character 5-grams is at least
    `near`. Failed ones come newest first. The same items give the same choice for the same seed, in whatever order they come.
    """
    chosen: list[Item] = []
    taken: list[tuple[str, frozenset[str]]] = []
    for item in shortlist(items, len(items), seed):
        if len(chosen) >= limit:
            break
        text = normalised(item.prompt)
        grams = frozenset(text[start : start + _GRAM] for start in range(len(text) - _GRAM + 1))
        if not any(text == other or _jaccard(grams, others) >= near for other, others in taken):
            chosen.append(item)
            taken.append((text, grams))
    return chosen


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0
