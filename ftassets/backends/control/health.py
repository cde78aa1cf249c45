"""What is known of a loop's health, the newest decision on its retrain, and its notices: one small document each."""

import logging
from collections.abc import Callable
from typing import TypeVar

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.formats import NewerFormat, Stored
from ftassets.domain.health.health import Health
from ftassets.domain.health.notices import Notices
from ftassets.domain.last_decision import LastDecision

log = logging.getLogger(__name__)
FOLDER = "health"
WAIT = 5.0  # seconds for another process that writes

_Document = TypeVar("_Document", bound=Stored)


def read_health(control: Control, loop: str) -> Health | None:
    """What automation found last; None before that, and where the document is damaged. Raises OSError, NewerFormat."""
    return _read(control, f"{FOLDER}/{loop}.json", Health)


def write_health(control: Control, loop: str, health: Health) -> None:
    """Replace it. Raises OSError."""
    control.write(f"{FOLDER}/{loop}.json", canonical_json(health.document()))


def read_decision(control: Control, loop: str) -> LastDecision | None:
    """What the retrain sensor decided last; None before that, and where the document is damaged. Raises OSError, NewerFormat."""
    return _read(control, f"{FOLDER}/{loop}.decision.json", LastDecision)


def write_decision(control: Control, loop: str, decision: LastDecision) -> None:
    """Replace it. Raises OSError."""
    control.write(f"{FOLDER}/{loop}.decision.json", canonical_json(decision.document()))


def read_notices(control: Control, loop: str) -> Notices:
    """What people were told and have silenced. Raises OSError, NewerFormat."""
    return _read(control, _notices(loop), Notices) or Notices()


def update_notices(control: Control, loop: str, change: Callable[[Notices], Notices]) -> None:
    """Replace the notices by what `change` makes of them; what it raises is passed on. Raises OSError, NewerFormat, Locked."""

    def rewritten(content: bytes | None) -> bytes | None:
        known = (None if content is None else _parsed(control, _notices(loop), content, Notices)) or Notices()
        found = change(known)
        return None if found == known else canonical_json(found.document())

    control.update(_notices(loop), rewritten, timeout=WAIT)


def _notices(loop: str) -> str:
    return f"{FOLDER}/{loop}.notices.json"


def _read(control: Control, key: str, kind: type[_Document]) -> _Document | None:
    content = control.read(key)
    return None if content is None else _parsed(control, key, content, kind)


def _parsed(control: Control, key: str, content: bytes, kind: type[_Document]) -> _Document | None:
    try:
        return kind.parse(content)
    except NewerFormat:
        raise
    except ValueError as error:
        log.warning("%s cannot be read, and is made anew: %s", control.uri(key), error)
        return None
