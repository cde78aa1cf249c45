"""What the rollout sensor saw of each candidate, and what became of it: lines that the plot, the incident notes and people read."""

import logging

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.formats import NewerFormat
from ftassets.domain.rollout.look import RolloutLook, is_kept
from ftassets.errors import in_one_line

log = logging.getLogger(__name__)
FOLDER = "rollouts"


def record_look(control: Control, loop: str, look: RolloutLook) -> None:
    """Keep a look with those before, if it says something new. Raises OSError, and ValueError for a file that is not ours."""
    key = _key(loop, look.candidate)
    kept = control.ends(key)
    if kept is None or is_kept(RolloutLook.parse(kept[0]), RolloutLook.parse(kept[1]), look):
        control.append(key, canonical_json(look.document()))


def read_looks(control: Control, loop: str, candidate: str) -> list[RolloutLook]:
    """What was kept, oldest first; a damaged line is left out. Raises OSError, NewerFormat."""
    looks, key = [], _key(loop, candidate)
    for number, line in enumerate(control.lines(key), start=1):
        try:
            looks.append(RolloutLook.parse(line))
        except NewerFormat:
            raise
        except ValueError as error:
            log.error("%s, line %d cannot be read and is left out: %s", control.uri(key), number, in_one_line(error))
    return looks


def candidates(control: Control, loop: str) -> list[str]:
    """Versions whose rollouts are recorded. Raises OSError."""
    return [name.removesuffix(".jsonl") for name in control.names(f"{FOLDER}/{loop}") if name.endswith(".jsonl")]


def _key(loop: str, candidate: str) -> str:
    return f"{FOLDER}/{loop}/{candidate}.jsonl"
