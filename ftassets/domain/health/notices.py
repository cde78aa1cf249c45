"""Which concerns are sent: each once when it has lasted, and once when it is over, unless people acknowledged or silenced it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, FiniteFloat

from ftassets.domain.formats import Stored
from ftassets.domain.health.health import Concern
from ftassets.domain.health.subjects import SUBJECTS, Sender
from ftassets.errors import InvalidInput

LASTS = 300.0  # seconds for which a concern must be there before people are told
OVER = 1800.0  # seconds for which it must be gone before it counts as over: one that comes and goes is one
AGAIN = 600.0  # seconds after which a notice that could not be sent is sent again


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Said(_Part):
    """Who acknowledged or silenced a concern, when (epoch seconds) and why."""

    by: str
    at: FiniteFloat
    reason: str


class Open(_Part):
    """A concern since it was first seen (epoch seconds); `seen` is when it was seen last, `tried_at` when people were last to be told."""

    concern: Concern
    opened: FiniteFloat
    seen: FiniteFloat
    told: bool = False
    tried_at: FiniteFloat | None = None
    acknowledged: Said | None = None


class Silence(_Part):
    """Nothing is sent about a subject, or one concern of it, until then."""

    key: str
    until: FiniteFloat
    said: Said

    def covers(self, key: str, now: float) -> bool:
        """Whether it silences a concern at that time."""
        return now < self.until and self.key in (key, key.partition(":")[0])


class Notices(Stored):
    """Open concerns by key, and silences."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "notices"

    open: dict[str, Open] = {}
    silences: tuple[Silence, ...] = ()

    def silenced(self, key: str, now: float) -> bool:
        """Whether a silence covers a concern."""
        return any(each.covers(key, now) for each in self.silences)

    def seeing(self, concerns: Iterable[Concern], now: float) -> "Notices":
        """With what is there now; what is over stays until people were told that it is."""
        known = dict(self.open)
        for concern in concerns:
            before = known.get(concern.key)
            known[concern.key] = (
                Open(concern=concern, opened=now, seen=now)
                if before is None
                else before.model_copy(update={"concern": concern, "seen": now})
            )
        return self.model_copy(update={"open": known, "silences": tuple(each for each in self.silences if now < each.until)})

    def due(self, now: float) -> "list[Due]":
        """What people are to be told now."""
        found = []
        for key, each in self.open.items():
            waited = each.tried_at is None or now - each.tried_at >= AGAIN
            if not _sent_here(each.concern) or each.concern.severity == "info" or not waited:
                continue
            if each.told and now - each.seen >= OVER:
                found.append(Due(key, each, over=True))  # also if it was silenced meanwhile: people wait for it
            elif self.silenced(key, now):
                continue
            elif not each.told and not each.acknowledged and each.seen == now and now - each.opened >= LASTS:
                found.append(Due(key, each, over=False))
        return found

    def after(self, due: "Due", sent: bool, now: float) -> "Notices":
        """Once a notice was sent, or could not be."""
        rest = {key: each for key, each in self.open.items() if key != due.key}
        if sent and due.over:
            return self.model_copy(update={"open": rest})
        there = self.open.get(due.key, due.open)  # a person may have said something meanwhile
        tried = there.model_copy(update={"told": there.told or sent, "tried_at": None if sent else now})
        return self.model_copy(update={"open": {**rest, due.key: tried}})

    def forgetting(self, now: float) -> "Notices":
        """Without what is over and needs no message."""
        due = {each.key for each in self.due(now)}

        def stays(key: str, each: Open) -> bool:
            return now - each.seen < OVER or key in due or (each.told and _sent_here(each.concern))

        return self.model_copy(update={"open": {key: each for key, each in self.open.items() if stays(key, each)}})

    def acknowledge(self, key: str, said: Said) -> "Notices":
        """A person knows: no message that it is there. Raises InvalidInput without such a concern."""
        self._known(key)
        return self.model_copy(update={"open": {**self.open, key: self.open[key].model_copy(update={"acknowledged": said})}})

    def silence(self, key: str, until: float, said: Said) -> "Notices":
        """Send nothing about a subject or a concern until then (epoch seconds), also of concerns that are not there yet.

        A time that has come ends a silence. Raises InvalidInput if it was not silenced.
        """
        others = tuple(each for each in self.silences if each.key != key)
        if until <= said.at and len(others) == len(self.silences):
            raise InvalidInput(f"{key} is not silenced")
        return self.model_copy(update={"silences": (*others, *([Silence(key=key, until=until, said=said)] if until > said.at else []))})

    def _known(self, key: str) -> None:
        if key not in self.open:
            there = ", ".join(sorted(self.open)) or "none"
            raise InvalidInput(f"there is no concern {key!r} now; there are: {there}")


@dataclass(frozen=True)
class Due:
    """A notice to send: that a concern is there, or that it is over."""

    key: str
    open: Open
    over: bool


def _sent_here(concern: Concern) -> bool:
    subject = SUBJECTS.get(concern.subject)  # None of one that an earlier release had
    return subject is not None and subject.sender is Sender.HEALTH
