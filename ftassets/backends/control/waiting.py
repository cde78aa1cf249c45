"""What the trigger of a loop waits for, in one small document a loop."""

import logging

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.formats import NewerFormat
from ftassets.domain.waiting import Waiting

log = logging.getLogger(__name__)
FOLDER = "waiting"


def read_waiting(control: Control, loop: str) -> Waiting | None:
    """What waits; None when nothing does. A damaged document counts as none, and is logged: the wait is counted from now on.

    Raises OSError, NewerFormat.
    """
    content = control.read(_key(loop))
    try:
        return None if content is None else Waiting.parse(content)
    except NewerFormat:
        raise
    except ValueError as error:
        log.warning("%s cannot be read, and is made anew: %s", control.uri(_key(loop)), error)
        return None


def write_waiting(control: Control, loop: str, waiting: Waiting | None) -> None:
    """Replace what waits. Raises OSError."""
    if waiting is None:
        control.delete(_key(loop))
    else:
        control.write(_key(loop), canonical_json(waiting.document()))


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.json"
