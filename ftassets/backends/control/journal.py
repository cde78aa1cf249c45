"""The desired state of every loop, and the numbered record of how it came about."""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from ftassets.backends.control.base import Control, Overtaken
from ftassets.domain.formats import NewerFormat
from ftassets.domain.rollout.endpoint import EndpointState, parse_state, state_document
from ftassets.domain.rollout.transition import Transition
from ftassets.errors import StateDamaged, in_one_line

log = logging.getLogger(__name__)

FOLDER = "gateway"
JOURNAL = f"{FOLDER}/journal.jsonl"
_STATE = ".state.json"
_LOCKED = 10.0  # seconds


def staging_lock(loop: str) -> str:
    """Name of the lock for whoever stages a loop's versions to measure them."""
    return f"{FOLDER}/{loop}.staging"


@dataclass(frozen=True)
class Found:
    """What was read behind a cursor: changes, loops of which one cannot be read and why, and where to read on."""

    behind: int
    transitions: list[Transition]
    damaged: dict[str, str]
    last: int
    cursor: int
    lines: int = 1


class Journal:
    """Every gateway writes it. A change is one write, the line in the log; the document with the loop's state is a copy of its newest.

    A line is added only by who knows all before it. A crash or a full disk may leave the copy behind: the one with the higher number
    wins. Only a renewed lease is in the copy alone.
    """

    def __init__(self, control: Control) -> None:
        """Read what is there; what is damaged of one loop is `damaged`, and stops no other. Raises StateDamaged, OSError."""
        self._control = control
        self._taking = threading.Lock()  # writers and whoever follows the others are threads
        self._transitions: list[Transition] = []
        self._states: dict[str, EndpointState] = {}
        self._numbers: dict[str, int] = {}
        self._cursor, self._lines, self.last = 0, 0, 0  # of the log: where to read on, lines so far, and the newest number
        self.damaged: dict[str, str] = {}
        for loop in loops_with_state(control):
            try:
                self.read_copy(loop)
            except StateDamaged as error:
                self.damaged[loop] = str(error)
        self.take(self.read_new())
        self.last = max([self.last, *self._numbers.values()])

    def read_new(self) -> Found:
        """The changes that others wrote since. Nothing is taken over yet: this may wait for a server. Raises StateDamaged, OSError."""
        with self._taking:
            cursor, lines = self._cursor, self._lines
        return _read(self._control, cursor, lines)

    def take(self, found: Found) -> list[Transition]:
        """Take over what was read, unless something was taken over meanwhile; the changes that are new."""
        with self._taking:
            if found.behind != self._cursor:
                return []
            self._cursor, self._lines, self.last = found.cursor, self._lines + found.lines, max(self.last, found.last)
            self._transitions += found.transitions
            self.damaged |= found.damaged
            for transition in found.transitions:
                if transition.number > self._numbers.get(transition.loop, 0):
                    self._states[transition.loop], self._numbers[transition.loop] = transition.state, transition.number
            return found.transitions

    def read_copy(self, loop: str) -> None:
        """Take over the copy of a loop's state unless it is older: a lease may have been renewed. Raises StateDamaged, OSError."""
        found = _stored(self._control, loop)
        with self._taking:
            if found and found[0] >= self._numbers.get(loop, 0):
                self._numbers[loop], self._states[loop] = found

    def state(self, loop: str) -> EndpointState:
        """Newest state of a loop; the empty one for a loop nothing was ever done with. Raises StateDamaged."""
        if why := self.damaged.get(loop):
            raise StateDamaged(why)
        return self._states.get(loop, EndpointState())

    def number(self, loop: str) -> int:
        """Number of the change that the newest state of a loop follows from; 0 before the first."""
        return self._numbers.get(loop, 0)

    @property
    def basis(self) -> int:
        """What has been taken over so far: a decision that was made on it counts only while nothing is newer."""
        return self._cursor

    def record(self, loop: str, action: str, by: str, reason: str, state: EndpointState, at: float, basis: int | None = None) -> Transition:
        """Write a change; durable when this returns. Raises OSError: nothing has changed then, nor will at the next start.

        Raises Overtaken if there is a change that the `basis`, by default what was taken over so far, does not have. After
        ControlUnreachable the change may be there all the same.
        """
        with self._taking:
            if basis is not None and basis != self._cursor:
                raise Overtaken(f"{self._control.uri(JOURNAL)} has grown meanwhile")
            number, behind = self.last + 1, self._cursor
        transition = Transition(number, at, loop, action, by, reason, state)
        cursor = self._control.append(JOURNAL, json.dumps(transition.to_json(), ensure_ascii=False).encode(), after=behind)
        self.take(Found(behind, [transition], {}, number, cursor))
        try:
            self._write_copy(loop, state, number)
        except OSError as error:
            log.error("%s could not be written (%s): the journal has the change", self._control.uri(_state_key(loop)), error)
        return transition

    def keep(self, loop: str, state: EndpointState, number: int) -> None:
        """Write a state that needs no entry of its own: a renewed lease of the state that followed from change `number`.

        Raises Overtaken where there is a later change, OSError, Locked.
        """
        if number != self.number(loop) or not self._write_copy(loop, state, number):
            raise Overtaken(f"{loop} was changed meanwhile")
        with self._taking:
            if number == self._numbers.get(loop, 0):
                self._states[loop] = state

    def _write_copy(self, loop: str, state: EndpointState, number: int) -> bool:
        """Whether the copy is this state now: that of a later change stays. Raises OSError, Locked."""
        content = json.dumps(state_document(number, state), indent=2).encode()
        written = True

        def replaced(stored: bytes | None) -> bytes | None:
            nonlocal written
            try:
                written = stored is None or parse_state(stored)[0] <= number
            except (ValueError, KeyError, TypeError):  # damaged meanwhile: this is what it was
                written = True
            return content if written else None

        self._control.update(_state_key(loop), replaced, _LOCKED)
        return written

    def entries(self, after: int = 0) -> list[Transition]:
        """Changes with a number above `after`, oldest first."""
        return [transition for transition in self._transitions if transition.number > after]

    def backwards(self, after: int = 0) -> Iterator[Transition]:
        """The same entries, newest first, without reading those before."""
        return takewhile(lambda transition: transition.number > after, reversed(self._transitions))


def loops_with_state(control: Control) -> list[str]:
    """Loops of which a gateway has kept a state. Raises OSError."""
    return [name.removesuffix(_STATE) for name in control.names(FOLDER) if name.endswith(_STATE)]


def read_state(control: Control, loop: str) -> EndpointState | None:
    """The state a gateway wrote last, for whoever finds none running; None for a loop that never served. Raises StateDamaged, OSError."""
    number, state = _stored(control, loop) or (0, None)
    newer = [transition for transition in read_transitions(control, loop) if transition.number > number]
    return newer[-1].state if newer else state


def read_transitions(control: Control, loop: str) -> list[Transition]:
    """All changes of a loop's endpoint, oldest first, whether or not a gateway runs. Raises StateDamaged, OSError."""
    found = _read(control, 0, 0)
    if why := found.damaged.get(loop):
        raise StateDamaged(why)
    return [transition for transition in found.transitions if transition.loop == loop]


def _read(control: Control, cursor: int, known: int) -> Found:
    """The lines of the journal behind a cursor that can be read, oldest first, and loops of which a newer release wrote one.

    To leave such a line out would be to forget a decision. `known` lines were read before. Raises StateDamaged where it does not tell its
    loop and number.
    """
    transitions, damaged, last = [], dict[str, str](), 0
    lines, end = control.lines_after(JOURNAL, cursor)
    for number, line in enumerate(lines, start=known + 1):
        try:
            content = json.loads(line)
            transitions.append(Transition.from_json(content))
            last = max(last, transitions[-1].number)
        except NewerFormat as error:
            why = f"{control.uri(JOURNAL)}, line {number}: {in_one_line(error)}"
            if not (isinstance(loop := content.get("loop"), str) and isinstance(of := content.get("number"), int)):
                raise StateDamaged(why) from error
            damaged[loop], last = why, max(last, of)
        except (ValueError, KeyError, TypeError) as error:
            log.error("%s, line %d cannot be read and is left out: %s", control.uri(JOURNAL), number, error)
    return Found(cursor, transitions, damaged, last, end, len(lines))


def _stored(control: Control, loop: str) -> tuple[int, EndpointState] | None:
    """Number and state of a loop."""
    key = _state_key(loop)
    content = control.read(key)
    if content is None:
        return None
    try:
        return parse_state(content)
    except NewerFormat as error:
        raise StateDamaged(f"{control.uri(key)}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StateDamaged(
            f"{control.uri(key)} is not the state of a loop ({in_one_line(error)}): restore it, or remove it to go by the journal"
        ) from error


def _state_key(loop: str) -> str:
    return f"{FOLDER}/{loop}{_STATE}"
