"""The desired state of every loop, and the numbered record of how it came about."""

import json
import logging
from collections.abc import Iterator
from itertools import takewhile

from ftassets.backends.control.base import Control
from ftassets.domain.formats import NewerFormat
from ftassets.domain.rollout.endpoint import EndpointState, parse_state, state_document
from ftassets.domain.rollout.transition import Transition
from ftassets.errors import StateDamaged, in_one_line

log = logging.getLogger(__name__)

FOLDER = "gateway"
JOURNAL = f"{FOLDER}/journal.jsonl"
GATEWAY_LOCK = f"{FOLDER}/gateway"  # held by the one gateway that may write
_STATE = ".state.json"


def staging_lock(loop: str) -> str:
    """Name of the lock for whoever stages a loop's versions to measure them."""
    return f"{FOLDER}/{loop}.staging"


class Journal:
    """One writer: the gateway. A change is one write, the line in the log; the file with the loop's state is a copy of its newest.

    A crash or a full disk may leave the copy behind: the one with the higher number wins when the journal is opened.
    """

    def __init__(self, control: Control) -> None:
        """Read what is there; what is damaged of one loop is `damaged`, and stops no other. Raises StateDamaged, OSError."""
        self._control = control
        self._transitions, self.damaged, last = _transitions(control)
        self._states: dict[str, EndpointState] = {}
        self._numbers: dict[str, int] = {}
        for name in control.names(FOLDER):
            if name.endswith(_STATE):
                loop = name.removesuffix(_STATE)
                try:
                    if found := _stored(control, loop):
                        self._numbers[loop], self._states[loop] = found
                except StateDamaged as error:
                    self.damaged[loop] = str(error)
        for transition in self._transitions:
            if transition.number > self._numbers.get(transition.loop, 0):
                self._states[transition.loop], self._numbers[transition.loop] = transition.state, transition.number
        self._last = max([last, *self._numbers.values()])

    def state(self, loop: str) -> EndpointState:
        """Newest state of a loop; the empty one for a loop nothing was ever done with. Raises StateDamaged."""
        if why := self.damaged.get(loop):
            raise StateDamaged(why)
        return self._states.get(loop, EndpointState())

    def record(self, loop: str, action: str, by: str, reason: str, state: EndpointState, at: float) -> Transition:
        """Write a change; durable when this returns. Raises OSError: nothing has changed then, nor will at the next start."""
        transition = Transition(self._last + 1, at, loop, action, by, reason, state)
        self._control.append(JOURNAL, json.dumps(transition.to_json(), ensure_ascii=False).encode())
        self._last = transition.number
        self._transitions.append(transition)
        self._numbers[loop] = transition.number
        self._states[loop] = state
        try:
            self.keep(loop, state)
        except OSError as error:
            log.error("%s could not be written (%s): the journal has the change", self._control.uri(_state_key(loop)), error)
        return transition

    def keep(self, loop: str, state: EndpointState) -> None:
        """Write a state that needs no entry of its own: a renewed lease. Raises OSError."""
        content = state_document(self._numbers.get(loop, 0), state)
        self._control.write(_state_key(loop), json.dumps(content, indent=2).encode())
        self._states[loop] = state

    def entries(self, after: int = 0) -> list[Transition]:
        """Changes with a number above `after`, oldest first."""
        return [transition for transition in self._transitions if transition.number > after]

    def backwards(self, after: int = 0) -> Iterator[Transition]:
        """The same entries, newest first, without reading those before."""
        return takewhile(lambda transition: transition.number > after, reversed(self._transitions))


def read_state(control: Control, loop: str) -> EndpointState | None:
    """The state a gateway wrote last, for whoever finds none running; None for a loop that never served. Raises StateDamaged, OSError."""
    number, state = _stored(control, loop) or (0, None)
    newer = [transition for transition in read_transitions(control, loop) if transition.number > number]
    return newer[-1].state if newer else state


def read_transitions(control: Control, loop: str) -> list[Transition]:
    """All changes of a loop's endpoint, oldest first, whether or not a gateway runs. Raises StateDamaged, OSError."""
    transitions, damaged, _ = _transitions(control)
    if why := damaged.get(loop):
        raise StateDamaged(why)
    return [transition for transition in transitions if transition.loop == loop]


def _transitions(control: Control) -> tuple[list[Transition], dict[str, str], int]:
    """The lines of the journal that can be read, oldest first; loops of which a newer release wrote one, and why; the highest number.

    To leave such a line out would be to forget a decision. Raises StateDamaged where it does not tell its loop and number.
    """
    transitions, damaged, last = [], dict[str, str](), 0
    for number, line in enumerate(control.lines(JOURNAL), start=1):
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
    return transitions, damaged, last


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
