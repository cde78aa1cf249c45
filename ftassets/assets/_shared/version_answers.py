"""A version's exchanges from the traffic log, page by page: a reader stops when it has enough."""

from collections.abc import Iterator

from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.domain.traffic.exchange import Exchange

PAGE = 1000  # exchanges read at once


def answers_of(log: TrafficLog, loop: str, version: str, since: float, until: float) -> Iterator[Exchange]:
    """Exchanges of a version with since <= at < until, oldest first, page by page."""
    seen: set[str] = set()
    size = PAGE
    while True:
        page = log.exchanges(loop, since, until, size)
        yield from (e for e in page if e.version == version and e.id not in seen)
        if len(page) < size:
            return
        last = page[-1].at
        at_last = {e.id for e in page if e.at == last}
        if last > since:
            since, seen, size = last, at_last, PAGE
        else:
            seen, size = seen | at_last, 2 * size  # a page of one moment only would come again and again
