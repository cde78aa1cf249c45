"""The shadow ledger of a loop in mode observe: one line for each retrain that auto would have started."""

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.shadow import ShadowRetrain

FOLDER = "shadow"


def read_shadow(control: Control, loop: str) -> list[ShadowRetrain]:
    """The ledger, oldest first. Raises OSError, and ValueError for a damaged line or one of a newer release."""
    return [ShadowRetrain.parse(line) for line in control.lines(_key(loop))]


def add_shadow(control: Control, loop: str, retrain: ShadowRetrain) -> None:
    """Add the newest. Raises OSError."""
    control.append(_key(loop), canonical_json(retrain.document()))


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.jsonl"
