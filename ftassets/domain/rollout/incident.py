"""A version lost its traffic otherwise than by a better one: what happened, who did it, on what evidence, and whether traffic moved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.look import RolloutLook
from ftassets.domain.rollout.transition import Transition

SETTLED = 20.0  # seconds after which the traffic since then tells something
SILENT = 300.0  # seconds after which no request since then is something to say, too
RECENT = 86_400.0  # seconds: what is older is no news
_BACK = ("rollback", "expire")
_LONGEST = 200  # transitions of a timeline


@dataclass(frozen=True)
class Incident:
    """`version` lost its share (percent) by `transition`; `timeline` begins with its start and ends with that; oldest first.

    `look` is what the rollout sensor saw last, None if it saw nothing. `answers` are those to requests since then, by version.
    """

    version: str
    share: int
    transition: Transition
    timeline: tuple[Transition, ...]
    look: RolloutLook | None = None
    answers: Mapping[str, int] | None = None

    @property
    def moved(self) -> bool | None:
        """Whether traffic went elsewhere: no request since then was answered by the version. None as long as there was no request."""
        if not self.answers or not any(self.answers.values()):
            return None
        return not self.answers.get(self.version)

    def due(self, now: float) -> bool:
        """Whether the note can be written: traffic since then tells something, or none came."""
        waited = now - self.transition.at
        return waited >= SETTLED and (self.moved is not None or waited >= SILENT)


def recent_incidents(newest_first: Iterable[Transition], now: float, noted: frozenset[int]) -> list[Incident]:
    """The incidents of the last day that have no note yet, newest first; reads no further back than their timelines begin."""
    found: list[Incident] = []
    open_: list[tuple[Transition, list[Transition]]] = []  # what took traffic back, and what is known of what was before; newest first
    for transition in newest_first:
        for taken in list(open_):
            back, before = taken
            before.append(transition)
            lost = _lost(before[0].state, back.state)
            if lost is None:
                open_.remove(taken)
            elif (transition.action == "start" and transition.state.newest == lost[0]) or len(before) >= _LONGEST:
                open_.remove(taken)
                found.append(_incident(back, lost, before))
        is_recent = now - transition.at < RECENT
        if transition.action in _BACK and is_recent and transition.number not in noted:
            open_.append((transition, []))
        if not open_ and not is_recent:
            break
    for back, before in open_:  # the journal begins later than they do
        if before and (lost := _lost(before[0].state, back.state)):
            found.append(_incident(back, lost, before))
    return sorted(found, key=lambda each: -each.transition.number)


def _incident(back: Transition, lost: tuple[str, int], before: list[Transition]) -> Incident:
    return Incident(*lost, back, (*reversed(before), back))


def _lost(before: EndpointState, after: EndpointState) -> tuple[str, int] | None:
    """The version with traffic that has none afterwards, the candidate first, and its share before (percent)."""
    weights = before.weights
    gone = [(version, weights[version]) for version in (before.candidate, before.production) if version in weights]
    return next(((version, weight) for version, weight in gone if version not in after.weights), None)
