"""Model servers: for how long each version had one, how many a load needs, and what they cost against an API."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ftassets.domain.spending.pricing import HOUR, MILLION, dollars
from ftassets.domain.spending.served import ALL, ServedDay
from ftassets.wording import amount

_IDLE = 0.1  # share of minutes with requests below which a machine is too large
_WITHOUT_TRAFFIC = 0.2  # share of server hours of versions without traffic that is worth a word


def hours_up(changes: Iterable[tuple[float, Collection[str]]], since: float, until: float) -> dict[str, float]:
    """Hours between two times in which each version had a server.

    `changes` are times (epoch seconds), oldest first, with the versions that had one from then on; none had one before the first.
    """
    hours: dict[str, float] = {}
    running: Collection[str] = ()
    begun = since
    for at, versions in [*changes, (until, ())]:
        passed = min(max(at, since), until)
        for version in running if passed > begun else ():
            hours[version] = hours.get(version, 0.0) + (passed - begun) / HOUR
        running, begun = versions, passed
    return hours


def replicas_needed(tokens_per_second: float, of_one: float) -> int:
    """Servers for a load, of which one writes so many tokens in a second; at least 1."""
    return max(1, math.ceil(tokens_per_second / of_one))


@dataclass(frozen=True)
class Demand:
    """A day's tokens of requests and answers, and the answer tokens of its busiest second."""

    tokens_in: float
    tokens_out: float
    peak_per_second: float


@dataclass(frozen=True)
class Tariff:
    """US dollars: an hour of a server, a million tokens of requests to an API and of its answers, and a day of the loop's runs."""

    replica_hour: float
    api_in: float
    api_out: float
    runs_a_day: float


@dataclass(frozen=True)
class Comparison:
    """A day by the loop's own servers against the same day by an API, in US dollars, and how both come about in words.

    `break_even_days` is when what was `invested` is earned, None if it never is. `break_even_tokens` is the smallest number of answer
    tokens a day, at the same mix and peaks, at which the loop is not dearer; None if none is.
    """

    replicas: int
    own_a_day: float
    api_a_day: float
    saved_a_day: float
    invested: float
    break_even_days: float | None
    break_even_tokens: float | None
    calculation: tuple[str, ...]


def compare(demand: Demand, of_one: float, tariff: Tariff, invested: float) -> Comparison:
    """Own servers, of which one writes `of_one` tokens in a second, against an API. `demand` must have answer tokens."""
    replicas = replicas_needed(demand.peak_per_second, of_one)
    server_day = 24 * tariff.replica_hour
    own = replicas * server_day + tariff.runs_a_day
    api = (demand.tokens_in * tariff.api_in + demand.tokens_out * tariff.api_out) / MILLION
    saved = api - own
    return Comparison(
        replicas,
        own,
        api,
        saved,
        invested,
        invested / saved if saved > 0 else None,
        _break_even(api / demand.tokens_out, server_day, tariff.runs_a_day, of_one * demand.tokens_out / demand.peak_per_second),
        (
            f"{demand.peak_per_second:,.1f} answer tokens a second at the peak / {of_one:,.1f} of one server "
            f"= {demand.peak_per_second / of_one:,.2f}: {amount(replicas, 'server')}",
            f"own: {replicas} x 24 h x {dollars(tariff.replica_hour)} + runs {dollars(tariff.runs_a_day)} = {dollars(own)} a day",
            f"API: {demand.tokens_in:,.0f} tokens in x {tariff.api_in:g} + {demand.tokens_out:,.0f} out x {tariff.api_out:g} USD "
            f"a million = {dollars(api)} a day",
        ),
    )


def _break_even(api_per_token: float, server_day: float, runs_a_day: float, tokens_a_server_day: float) -> float | None:
    """Answer tokens a day at which k servers and the runs cost as much as the API, for the smallest k that can write them.

    k servers cost k * server_day + runs_a_day and write up to k * tokens_a_server_day, so k is the smallest whole number with
    k * server_day + runs_a_day <= k * tokens_a_server_day * api_per_token.
    """
    margin = tokens_a_server_day * api_per_token - server_day  # what a full server saves in a day
    if not api_per_token or margin < 0 or (margin == 0 and runs_a_day):
        return None
    servers = max(1, math.ceil(runs_a_day / margin)) if margin else 1
    return (servers * server_day + runs_a_day) / api_per_token


def hints(hours: Mapping[str, float], served: Mapping[str, ServedDay], replicas: int | None) -> list[str]:
    """What the measured load says about the servers: sentences, none if there is nothing to change.

    `hours` are those of each version's server, `served` what each version and `ALL` answered in the same time, `replicas` the servers
    that the busiest minute needs, None if it is not known.
    """
    found = []
    if replicas is not None and replicas > 1:
        found.append(
            f"the busiest minute needs {replicas} servers, and a version has one: take a larger machine, or several behind one endpoint"
        )
    longest, busy = max(hours.values(), default=0.0), served.get(ALL, ServedDay()).busy_minutes
    if longest >= 24 and busy / (longest * 60) < _IDLE:
        found.append(f"there were requests in {busy / (longest * 60):.1%} of all minutes: a smaller or shared machine would do")
    all_hours, idle = sum(hours.values()), sum(each for version, each in hours.items() if version not in served)
    if all_hours >= 24 and idle / all_hours > _WITHOUT_TRAFFIC:
        found.append(f"{idle:,.0f} of {all_hours:,.0f} server hours were of versions that answered nothing")
    return found
