"""All versions of a loop in one table: what they scored, how they came into production, what they answered and cost, what went wrong."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.domain.spending.overview import VersionCost
from ftassets.wording import span

_LOSES = ("rollback", "expire")


class Estimate(BaseModel):
    """A share, 0 to 1, with its 95 % interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float


class Released(BaseModel):
    """A version's release: when it was signed (epoch seconds), on which report, and the report's exact match by slice.

    An adopted version has no report. `problem` says why the release does not count or why its scores are not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    at: float
    report: str | None = None
    verdicts: dict[str, str] = {}
    scores: dict[str, Estimate] = {}
    problem: str | None = None


class VersionHistory(BaseModel):
    """A released version and what became of it. Times are epoch seconds, durations seconds, `weight` percent of traffic now.

    `starts`, `promotions` and `rollbacks` count transitions, an expired lease being a rollback; `incidents` are the numbers of its
    incident notes. `answers`, `failed` and the costs (US dollars) are those of the months that `ftassets cost` sums up. `live` has the
    newest live report of each kind that is about it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    released: Released
    weight: int = 0
    starts: int = 0
    promotions: int = 0
    rollbacks: int = 0
    incidents: tuple[int, ...] = ()
    first_traffic: float | None = None
    in_production: float = 0.0
    answers: int = 0
    failed: int = 0
    share: float | None = None
    usd: float | None = None
    usd_per_answer: float | None = None
    live: dict[str, LatestReport] = {}


def history(
    released: Iterable[Released],
    transitions: Sequence[Transition],
    noted: Collection[int],
    costs: Iterable[VersionCost],
    latest: Mapping[str, LatestReport],
    now: float,
) -> list[VersionHistory]:
    """A loop's released versions in the order of their releases. `transitions` are all of its endpoint, oldest first."""
    cost = {each.version: each for each in costs}
    answers = sum(each.served.answers for each in cost.values())
    moves = _moves(transitions, noted, now)
    found = []
    for each in sorted(released, key=lambda one: (one.at, one.version)):
        spent, moved = cost.get(each.version), moves.get(each.version, {})
        served: dict[str, Any] = {}
        if spent is not None:
            served = {
                "answers": spent.served.answers,
                "failed": spent.served.failed,
                "usd": spent.usd,
                "usd_per_answer": spent.usd_per_answer,
            }
            served["share"] = spent.served.answers / answers if answers else None
        live = {kind: report for kind, report in latest.items() if report.version == each.version}
        found.append(VersionHistory(released=each, live=live, **moved, **served))
    return found


def table(found: Sequence[VersionHistory], timezone: str) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for people, a line a version."""
    zone = ZoneInfo(timezone)
    slices = sorted({name for each in found for name in each.released.scores})
    head = [
        "version",
        "released",
        *(f"exact match: {name}" for name in slices),
        "in production",
        "traffic now",
        "rollouts",
        "answers",
        "live",
    ]
    return head, [
        [
            each.released.version[:12],
            f"{datetime.fromtimestamp(each.released.at, zone):%F %H:%M}",
            *(_estimate(each.released.scores.get(name)) for name in slices),
            span(each.in_production) if each.in_production else "-",
            f"{each.weight} %",
            _rollouts(each),
            _answers(each),
            ", ".join(f"{kind} {report.verdict}" for kind, report in sorted(each.live.items())) or "-",
        ]
        for each in found
    ]


def _moves(transitions: Sequence[Transition], noted: Collection[int], now: float) -> dict[str, dict[str, Any]]:
    """What the journal says of each version."""
    found: dict[str, dict[str, Any]] = {}

    def of(version: str) -> dict[str, Any]:
        return found.setdefault(version, {"starts": 0, "promotions": 0, "rollbacks": 0, "incidents": (), "in_production": 0.0})

    states = [EndpointState(), *(each.state for each in transitions)]
    for (before, after), each in zip(pairwise(states), transitions, strict=True):
        if each.action == "start" and after.newest:
            of(after.newest)["starts"] += 1
        for version in after.weights:
            of(version).setdefault("first_traffic", each.at)
        if each.action in _LOSES:
            lost = before.candidate if before.candidate and not after.candidate else before.production
            if lost:
                of(lost)["rollbacks"] += 1
                of(lost)["incidents"] += (each.number,) if each.number in noted else ()
        elif after.production and after.production != before.production:
            of(after.production)["promotions"] += 1
    ends = [each.at for each in transitions[1:]] + [now] * bool(transitions)
    for each, end in zip(transitions, ends, strict=True):
        if each.state.production:
            of(each.state.production)["in_production"] += max(end - each.at, 0.0)
    for version, weight in states[-1].weights.items():
        of(version)["weight"] = weight
    return found


def _estimate(found: Estimate | None) -> str:
    return "-" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _rollouts(each: VersionHistory) -> str:
    noted = f", notes {', '.join(map(str, each.incidents))}" if each.incidents else ""
    return f"{each.starts} started, {each.promotions} promoted, {each.rollbacks} rolled back{noted}"


def _answers(each: VersionHistory) -> str:
    share = "" if each.share is None else f" ({each.share:.0%})"
    usd = "" if each.usd_per_answer is None else f", {1000 * each.usd_per_answer:.4f} USD per 1,000"
    return f"{each.answers:,}{share}{usd}"
