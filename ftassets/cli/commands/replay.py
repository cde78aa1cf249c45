"""A stored decision on a retrain or on the move of a rollout, made again from what is stored with it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import report_digests, report_key
from ftassets.domain import formats
from ftassets.domain.beginnings import the_one
from ftassets.domain.canonical import digest_of, parse_json
from ftassets.domain.retrain import replay as decide_again
from ftassets.domain.rollout.look import RolloutLook, decided_again
from ftassets.errors import InvalidInput, StateDamaged, in_one_line

_NAME = re.compile(r"decision-([0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Replayed:
    """A decision as it was stored and as the rule of this release makes it."""

    file: str
    same: bool
    stored: dict[str, Any]
    now: dict[str, Any]

    def describe(self) -> str:
        """Lines for a terminal."""
        if self.same:
            return f"the same decision again: {_words(self.stored)}"
        return f"the rule decides differently now\n  stored: {_words(self.stored)}\n  now:    {_words(self.now)}"


def replay(artifacts: Artifacts, loops: Iterable[str], text: str) -> Replayed:
    """Replay the decision in a file, or the one of the loops whose digest begins with `text`.

    Raises InvalidInput when there is no such decision or this release cannot make it, StateDamaged when the content no longer has the
    digest in its name, OSError.
    """
    if Path(text).is_file():
        where, content = text, Path(text).read_bytes()
    else:
        key = _key(artifacts, loops, text)
        where, content = artifacts.uri(key), artifacts.get(key)
    try:
        now = parse_json(decide_again(content))["decision"]
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    document = parse_json(content)
    name = _NAME.fullmatch(where.rpartition("/")[2])
    if name and digest_of(document) != name[1]:
        raise StateDamaged(f"{where} was changed after it was written: its digest is no longer the one in its name")
    stored = formats.read("retrain_decision", document).get("decision")
    if not isinstance(stored, dict):
        raise InvalidInput(f"{where} has no decision to compare with")
    # an earlier release said the same in other words
    older = document.get(formats.FORMAT, 1) != formats.KINDS["retrain_decision"].version
    counts = ("action", "trigger", "cause") if older else stored | now
    return Replayed(where, all(stored.get(name) == now.get(name) for name in counts), stored, now)


def replay_rollout(path: Path) -> list[Replayed]:
    """Make each move in a file of the rollout sensor again. Raises InvalidInput for another file, or one without a move; OSError."""
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            look = RolloutLook.parse(line)
            if look.basis is not None:
                now = decided_again(look)
                stored = {"action": look.move, "weight": look.next_weight, "reason": look.reason}
                again = {"action": now.move, "weight": now.weight, "reason": now.reason}
                found.append(Replayed(f"{path}, line {number}", stored == again, stored, again))
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number}: {in_one_line(error)}") from error
    if not found:
        raise InvalidInput(f"{path} has no move of a rollout")
    return found


def _key(artifacts: Artifacts, loops: Iterable[str], text: str) -> str:
    """Name of the one decision whose digest begins so."""
    loop_of = {digest: loop for loop in loops for digest in report_digests(artifacts, loop, "decision")}
    digest = the_one(text, loop_of, "stored decision", "give a file, or the beginning of the digest of one")
    return report_key(loop_of[digest], "decision", digest)


def _words(decision: dict[str, Any]) -> str:
    trigger = f" ({decision['trigger']})" if decision.get("trigger") else ""
    return f"{decision.get('action')}{trigger}: {decision.get('reason')}"
