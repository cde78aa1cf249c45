"""The whole of what a loop cost in a time: runs, cycles, promoted models, serving, and the comparison with an API."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.budget import Balance, balance, month_of
from ftassets.domain.spending.cycles import MAKING, Outcome, cycles
from ftassets.domain.spending.pricing import cost_of
from ftassets.domain.spending.served import ALL, MINUTE, Served, ServedDay
from ftassets.domain.spending.servers import Comparison, Demand, Tariff, compare, hints, hours_up
from ftassets.domain.spending.usage import Usage, UsageEntry, total
from ftassets.domain.traffic.retention import DAY

RECENT = 30 * DAY  # seconds whose traffic is compared with an API


@dataclass(frozen=True)
class Sum:
    """What was used, what it costs in US dollars (None if a part has no price), and which part that is, in words."""

    usage: Usage
    usd: float | None
    not_priced: tuple[str, ...]
    sentence: str

    @classmethod
    def of(cls, entries: Iterable[UsageEntry], loop: LoopConfig) -> "Sum":
        """What these entries used, at the loop's prices."""
        usage = total(list(entries))
        cost = cost_of(usage, loop.prices)
        return cls(usage, cost.usd, cost.not_priced, cost.sentence)


@dataclass(frozen=True)
class CycleCost:
    """A run that makes a version: when it began (epoch seconds), what it came to, what it cost."""

    run_id: str
    at: float
    outcome: Outcome
    version: str | None
    cost: Sum


@dataclass(frozen=True)
class Month:
    """A calendar month of the loop's time zone: runs that make versions, all others, and versions that came into production.

    The first one of a summary is the first with anything.
    """

    month: str
    making: Sum
    watching: Sum
    promoted: int


@dataclass(frozen=True)
class PerModel:
    """All that runs used that make versions, whatever they came to, for each version that came into production."""

    models: int
    usd: float | None
    cpu_seconds: float
    gpu_seconds: float


@dataclass(frozen=True)
class VersionCost:
    """What a version answered, the hours of its server, and what they cost in US dollars; per answer None without answers or price.

    `tokens_per_second` are the answer tokens of its busiest minute.
    """

    version: str
    served: ServedDay
    server_hours: float
    tokens_per_second: float
    usd: float | None
    usd_per_answer: float | None


@dataclass(frozen=True)
class Spending:
    """What a loop cost between two times (epoch seconds). Requests are counted up to `served_until`.

    `against_api` is None for the reason in `not_compared`. `hints` are about the size of the servers.
    """

    loop: str
    since: float
    until: float
    runs: Sum
    making: Sum
    watching: Sum
    nodes: dict[str, Sum]
    months: tuple[Month, ...]
    cycles: tuple[CycleCost, ...]
    outcomes: dict[Outcome, int]
    promoted: tuple[str, ...]
    per_promoted: PerModel | None
    balance: Balance | None
    versions: tuple[VersionCost, ...]
    served_until: float
    against_api: Comparison | None
    not_compared: str | None
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A change of the loop's endpoint: when (epoch seconds), the version in production after it, and all that have a server."""

    at: float
    production: str | None
    running: frozenset[str]


def overview(
    loop: LoopConfig,
    entries: Sequence[UsageEntry],
    changes: Sequence[Change],
    served: Served,
    since: float,
    now: float,
    tokens_per_day: float | None = None,
    adopted: Collection[str] = (),
) -> Spending:
    """What the loop cost since a time, which begins a month. `entries` are those since then, `changes` all of its endpoint, oldest first.

    No run made the `adopted` versions: they are not promoted ones. `tokens_per_day` are the answer tokens of a day to compare with an
    API; default: as many as there were.
    """
    first: dict[str, float] = {}
    for change in changes:
        if change.production is not None and change.production not in adopted:
            first.setdefault(change.production, change.at)
    promoted = tuple(version for version, at in first.items() if since <= at < now)
    found = cycles(entries, first.keys(), now)
    ids = {cycle.run_id for cycle in found}
    making = Sum.of((entry for entry in entries if entry.run_id in ids), loop)
    runs = Sum.of(entries, loop)
    against, why = _against_api(loop, runs, entries, changes, served, now, tokens_per_day)
    recent = served.since(now - RECENT)
    return Spending(
        loop=loop.name,
        since=since,
        until=now,
        runs=runs,
        making=making,
        watching=Sum.of((entry for entry in entries if entry.run_id not in ids), loop),
        nodes={name: Sum.of((each for each in entries if each.node == name), loop) for name in sorted({each.node for each in entries})},
        months=tuple(_months(loop, entries, ids, first.values(), since, now)),
        cycles=tuple(CycleCost(each.run_id, each.entries[0].at, each.outcome, each.version, Sum.of(each.entries, loop)) for each in found),
        outcomes=dict(Counter(cycle.outcome for cycle in found)),
        promoted=promoted,
        per_promoted=_per_model(making, len(promoted)),
        balance=balance(loop, entries, MAKING, now),
        versions=tuple(_versions(loop, changes, served, since, now)),
        served_until=served.until,
        against_api=against,
        not_compared=why,
        hints=tuple(hints(_hours(changes, now - RECENT, now), recent, against.replicas if against else None)),
    )


def _months(
    loop: LoopConfig, entries: Sequence[UsageEntry], making: Collection[str], promotions: Collection[float], since: float, now: float
) -> Iterator[Month]:
    begin = max(since, min([*(entry.at for entry in entries), *(at for at in promotions if at >= since)], default=now - 1))
    while begin < now:
        first, end = month_of(begin, loop.timezone)
        mine = [entry for entry in entries if first <= entry.at < end]
        yield Month(
            f"{datetime.fromtimestamp(first, ZoneInfo(loop.timezone)):%Y-%m}",
            Sum.of((entry for entry in mine if entry.run_id in making), loop),
            Sum.of((entry for entry in mine if entry.run_id not in making), loop),
            sum(first <= at < end for at in promotions),
        )
        begin = end


def _per_model(making: Sum, models: int) -> PerModel | None:
    if not models:
        return None
    usd = None if making.usd is None else making.usd / models
    return PerModel(models, usd, making.usage.cpu_seconds / models, making.usage.gpu_seconds / models)


def _hours(changes: Sequence[Change], since: float, until: float) -> dict[str, float]:
    return hours_up([(change.at, change.running) for change in changes], since, until)


def _versions(loop: LoopConfig, changes: Sequence[Change], served: Served, since: float, now: float) -> Iterator[VersionCost]:
    """The versions that answered or had a server, the one with most answers first."""
    price, hours, sums = loop.prices.usd_per_replica_hour, _hours(changes, since, now), served.since(since)
    known = {*hours, *sums} - {ALL}
    for version in sorted(known, key=lambda version: (-sums.get(version, ServedDay()).answers, version)):
        mine, up = sums.get(version, ServedDay()), hours.get(version, 0.0)
        usd = None if price is None else up * price
        each = usd / mine.answers if usd is not None and mine.answers else None
        yield VersionCost(version, mine, up, mine.peak_tokens / MINUTE, usd, each)


def _against_api(
    loop: LoopConfig,
    runs: Sum,
    entries: Sequence[UsageEntry],
    changes: Sequence[Change],
    served: Served,
    now: float,
    tokens_per_day: float | None,
) -> tuple[Comparison | None, str | None]:
    """The days of the last 30 with traffic, against an API; or why they are not compared."""
    prices, reference = loop.prices, loop.reference_model
    api_in, api_out = prices.api_usd_per_million_tokens_in, prices.api_usd_per_million_tokens_out
    if reference is not None:
        api_in = reference.usd_per_million_in if api_in is None else api_in
        api_out = reference.usd_per_million_out if api_out is None else api_out
    replica_hour = prices.usd_per_replica_hour
    if replica_hour is None or api_in is None or api_out is None:
        wanted = {"usd_per_replica_hour": replica_hour, "api_usd_per_million_tokens_in": api_in, "api_usd_per_million_tokens_out": api_out}
        return None, f"prices has no {', '.join(name for name, price in wanted.items() if price is None)}"
    if runs.usd is None:
        return None, f"runs are not priced: {', '.join(runs.not_priced)}"
    recent = served.since(now - RECENT)
    found = recent.get(ALL, ServedDay())
    # sums are of whole days: the time that they are divided by begins with the first of them, unless nothing could be served yet
    begun = max(min(served.days, default=now), (now - RECENT) // DAY * DAY, min((change.at for change in changes), default=0.0))
    days = (served.until - begun) / DAY
    if days < 1 or not found.tokens_out:
        return None, "the traffic log has less than a day of answers whose tokens are known"
    factor = tokens_per_day / (found.tokens_out / days) if tokens_per_day else 1.0
    demand = Demand(
        factor * found.tokens_in / days, factor * found.tokens_out / days, factor * found.peak_tokens / MINUTE
    )  # fmt: skip
    of_one = prices.replica_tokens_per_second or max(each.peak_tokens for name, each in recent.items() if name != ALL) / MINUTE
    begun = min((entry.at for entry in entries), default=now - DAY)
    tariff = Tariff(replica_hour, api_in, api_out, runs.usd / max((now - begun) / DAY, 1.0))
    return compare(demand, of_one, tariff, runs.usd), None
