"""Gateways that serve the same loops side by side: what each says of itself, and which of them have a change. Pure decisions."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from ftassets.domain.formats import Stored
from ftassets.wording import span

SILENT = 5.0  # seconds without a beat after which a replica does not count as live: it may have died, or not reach the database
FORGOTTEN = 3600.0  # seconds of silence after which it is not named any more
_CLOCKS = 30.0  # seconds by which clocks of machines may differ


class Beat(Stored):
    """What a replica says of itself, again and again. `number` rises with each beat of one `life`; `at` is in epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "replica"

    name: str
    life: str
    number: int
    at: float
    revision: int  # number of the newest change that it has in force
    ready: tuple[str, ...]  # versions whose server answers it
    asks: tuple[str, ...]  # versions that are about to get traffic: their servers must be up everywhere
    users: str  # fingerprint of the secret by which users are hashed
    own_log: bool  # whether its traffic log is a file that no other replica sees


@dataclass(frozen=True)
class Heard:
    """A replica's newest beat, and when it was first seen here (monotonic)."""

    beat: Beat
    since: float

    def silent(self, now: float) -> float:
        """Seconds without a new beat."""
        return max(0.0, now - self.since)

    def live(self, now: float) -> bool:
        """Whether it still counts."""
        return self.silent(now) < SILENT


def hear(known: Mapping[str, Heard], beats: Iterable[Beat], now: float, clock: float) -> dict[str, Heard]:
    """What is known once these beats are read, at `now` (monotonic) and `clock` (epoch seconds), by name.

    A beat counts from when it is first seen, so that clocks of machines are not compared. Only of a replica that was never seen before
    its own clock must do.
    """
    found: dict[str, Heard] = {}
    for beat in beats:
        before = known.get(beat.name)
        if before is None:
            age = clock - beat.at
            found[beat.name] = Heard(beat, now if abs(age) < _CLOCKS else now - max(age, SILENT))
        elif (before.beat.life, before.beat.number) == (beat.life, beat.number):
            found[beat.name] = before
        else:
            found[beat.name] = Heard(beat, now)
    return found


def lacking(heard: Collection[Heard], revision: int, now: float) -> list[str]:
    """Replicas, other than this one, that have not confirmed a change; each with the reason."""
    return [
        f"{each.beat.name} ({f'silent for {span(each.silent(now))}' if not each.live(now) else 'has not confirmed it yet'})"
        for each in sorted(heard, key=lambda each: each.beat.name)
        if each.beat.revision < revision
    ]


def pending(heard: Collection[Heard], revision: int, now: float) -> bool:
    """Whether a live replica has not confirmed a change: it is worth waiting for it."""
    return any(each.live(now) and each.beat.revision < revision for each in heard)


def without_server(heard: Collection[Heard], digest: str, now: float) -> list[str]:
    """Live replicas whose server of a version does not answer them yet."""
    return sorted(each.beat.name for each in heard if each.live(now) and digest not in each.beat.ready)


def sentence(replicas: Collection[Mapping[str, Any]]) -> str | None:
    """The gateways of health's `replicas` with what each has in force; None where there is one alone."""
    if len(replicas) < 2:
        return None
    newest = max(each["revision"] for each in replicas)
    told = []
    for each in replicas:
        wrong = [] if each["live"] else [f"silent for {span(each['silent'])}"]
        wrong += [f"has change {each['revision']} of {newest}"] if each["revision"] < newest else []
        told.append(f"{each['name']} ({', '.join(wrong) or f'has change {newest}'})")
    return f"{len(replicas)} gateways: {'; '.join(told)}"


def not_alike(own: Beat, heard: Collection[Heard], now: float) -> str | None:
    """Why a replica must not join the live ones; None if it may."""
    for other in (each.beat for each in heard if each.live(now)):
        if own.own_log or other.own_log:
            whose = own.name if own.own_log else other.name
            return (
                f"{other.name} serves the same loops, and the traffic log of {whose} is a file of its own: "
                "set FTASSETS_TRAFFIC_URL for every gateway to one database"
            )
        if own.users != other.users:
            return (
                f"{other.name} serves the same loops and knows users by another secret: let `keys` in this home be a link to the folder "
                "that it has, or a copy of it"
            )
    return None
