"""Which alerts were sent, by address, so that the same one is not repeated all day."""

import json
from collections.abc import Callable
from typing import NamedTuple

from ftassets.backends.control.base import Control
from ftassets.domain.formats import read

FOLDER = "alerts"
WAIT = 5.0  # seconds for another process that writes: an alert must not wait for its own bookkeeping


class Sent(NamedTuple):
    """One alert as one address got it: `at` in epoch seconds, `rank` of its severity."""

    channel: str
    key: str
    at: float
    rank: int


def read_sent(control: Control, loop: str) -> list[Sent]:
    """What was sent about a loop. Raises OSError, and ValueError or TypeError when the document is damaged."""
    return _parsed(control.read(_key(loop)))


def update_sent(control: Control, loop: str, change: Callable[[list[Sent]], list[Sent]]) -> None:
    """Replace what was sent about a loop by what `change` makes of it; a damaged document counts as empty. Raises OSError."""

    def rewritten(content: bytes | None) -> bytes:
        try:
            known = _parsed(content)
        except (ValueError, TypeError):
            known = []
        return json.dumps(change(known)).encode()

    control.update(_key(loop), rewritten, timeout=WAIT)


def _parsed(content: bytes | None) -> list[Sent]:
    return [Sent(str(channel), str(key), float(at), int(rank)) for channel, key, at, rank in read("alerts", json.loads(content or b"[]"))]


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.json"
