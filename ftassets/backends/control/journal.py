"""The desired state of every loop on disk, and the numbered record of how it came about."""

import json
import logging
import os
from pathlib import Path

from ftassets.backends.serving.base import Transition
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.durable import sync_folder, write_durably

log = logging.getLogger(__name__)


class Journal:
    """One writer: the gateway. A change is first appended to `journal.jsonl`, then written to `<loop>.json`.

    Whichever of the two a crash spared is enough: the file with the higher number wins when the folder is opened.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there; a torn last line is cut off. Raises ValueError on a state file that is not one."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / "journal.jsonl"
        self._shifts = self._read()
        self._states: dict[str, EndpointState] = {}
        self._numbers: dict[str, int] = {}
        for path in folder.glob("*.state.json"):
            self._load(path)
        for transition in self._shifts:
            if transition.number > self._numbers.get(transition.loop, 0):
                self._states[transition.loop], self._numbers[transition.loop] = transition.state, transition.number
        self._last = max([0, *self._numbers.values(), *(transition.number for transition in self._shifts)])

    def state(self, loop: str) -> EndpointState:
        """Newest state of a loop; the empty one for a loop nothing was ever done with."""
        return self._states.get(loop, EndpointState())

    def record(self, loop: str, action: str, by: str, reason: str, state: EndpointState, at: float) -> Transition:
        """Write a change; durable when this returns. Raises OSError."""
        transition = Transition(self._last + 1, at, loop, action, by, reason, state)
        line = json.dumps(to_json(transition), ensure_ascii=False).encode() + b"\n"
        with self._path.open("ab") as file:
            end = file.tell()
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)  # half a line on a full disk would swallow the next entry
                raise
        if end == 0:
            sync_folder(self._folder)
        self._last = transition.number
        self._shifts.append(transition)
        self._numbers[loop] = transition.number
        self.keep(loop, state)
        return transition

    def keep(self, loop: str, state: EndpointState) -> None:
        """Write a state that needs no entry of its own: a renewed lease. Raises OSError."""
        content = {"number": self._numbers.get(loop, 0), "state": state.model_dump()}
        write_durably(self._folder / f"{loop}.state.json", json.dumps(content, indent=2).encode())
        self._states[loop] = state

    def entries(self, after: int = 0) -> list[Transition]:
        """Changes with a number above `after`, oldest first."""
        return [transition for transition in self._shifts if transition.number > after]

    def _load(self, path: Path) -> None:
        loop = path.name.removesuffix(".state.json")
        try:
            content = json.loads(path.read_bytes())
            self._states[loop] = EndpointState.model_validate(content["state"])
            self._numbers[loop] = int(content["number"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not the state of a loop ({error}): restore it, or remove it to go by the journal") from error

    def _read(self) -> list[Transition]:
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            log.warning("%s ended in the middle of a line, which was cut off", self._path)
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        transitions = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                transitions.append(from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                log.error("%s, line %d cannot be read and is left out: %s", self._path, number, error)
        return transitions


def to_json(transition: Transition) -> dict:
    """A journal entry as a JSON object."""
    return {**vars(transition), "state": transition.state.model_dump()}


def from_json(entry: dict) -> Transition:
    """The journal entry of a JSON object. Raises ValueError, KeyError or TypeError."""
    return Transition(**{**entry, "state": EndpointState.model_validate(entry["state"])})
