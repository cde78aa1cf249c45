"""What the gateways say of themselves: one small document each."""

import logging

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.replicas import Beat

log = logging.getLogger(__name__)
FOLDER = "gateway/replicas"
_LOCKED = 2.0  # seconds


def read_beats(control: Control) -> list[Beat]:
    """The newest beat of each replica, by name. Those that cannot be read are left out, and logged. Raises OSError."""
    found = []
    for name in control.names(FOLDER):
        content = control.read(f"{FOLDER}/{name}")
        try:
            if content is not None:  # it left meanwhile
                found.append(Beat.parse(content))
        except ValueError as error:
            log.error("%s cannot be read: %s", control.uri(f"{FOLDER}/{name}"), error)
    return found


def write_beat(control: Control, beat: Beat, first: bool = False) -> bool:
    """Store a beat; False, and nothing is stored, if another replica has its name. The first one replaces any. Raises OSError."""
    stored: list[bool] = []

    def replaced(content: bytes | None) -> bytes | None:
        try:
            mine = first or content is None or Beat.parse(content).life == beat.life
        except ValueError:
            mine = True
        stored.append(mine)
        return canonical_json(beat.document()) if mine else None

    control.update(_key(beat.name), replaced, _LOCKED)
    return stored[-1]


def remove_beat(control: Control, name: str) -> None:
    """The replica is gone. Raises OSError."""
    control.delete(_key(name))


def _key(name: str) -> str:
    return f"{FOLDER}/{name}.json"
