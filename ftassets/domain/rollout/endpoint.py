"""Which version of a loop gets which weight of the traffic: state and the transitions between states, without I/O."""

import hashlib
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain import formats
from ftassets.domain.canonical import parse_json
from ftassets.errors import FtassetsError


class NotPossible(FtassetsError):
    """The endpoint's state does not allow this transition; the message says what to do first."""


class HeldBack(BaseModel):
    """Share of users (percent) that stay on the standby after a promotion, so that its gain can be measured; times are epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: int = Field(ge=1, le=5, description="Percent of traffic of the version before.")
    since: float = Field(description="Time of the promotion, in epoch seconds.")
    until: float = Field(description="When everybody gets production, in epoch seconds.")


class EndpointState(BaseModel):
    """Desired state of one loop's endpoint. `weight` is the candidate's percent of traffic; times are epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    production: str | None = Field(None, description="Digest of the version in production.")
    candidate: str | None = Field(None, description="Digest of the version in shadow or canary.")
    standby: str | None = Field(None, description="Digest of the version that was production before and still runs.")
    weight: int = Field(0, ge=0, le=100, description="The candidate's percent of traffic, 0 in shadow; production has the rest.")
    lease_until: float | None = Field(None, description="When the candidate loses its traffic unless renewed, in epoch seconds.")
    since: float = Field(0.0, description="Time of the last change of weights, in epoch seconds.")
    rejected: tuple[str, ...] = Field((), description="Versions that were rolled back: the loop does not start them again by itself.")
    staged: dict[str, float] = Field({}, description="Versions that run without traffic, with their end in epoch seconds.")

    held_back: HeldBack | None = Field(None, description="Users who stay on the standby for a time; none while there is a canary.")

    @property
    def phase(self) -> str:
        """idle (nothing serves), serving, shadow, or canary."""
        if self.candidate:
            return "shadow" if self.in_shadow else "canary"
        return "serving" if self.production else "idle"

    @property
    def in_shadow(self) -> bool:
        """Whether there is a candidate that answers copies of requests, and no user."""
        return self.candidate is not None and self.weight == 0

    @property
    def newest(self) -> str | None:
        """The version that a start was about, in the state it led to: the candidate, or a loop's very first version."""
        return self.candidate or self.production

    @property
    def weights(self) -> dict[str, int]:
        """Percent of traffic per version that has any."""
        held = {self.standby: self.held_back.weight} if self.held_back else {}
        weights = {self.candidate: self.weight, self.production: 100 - self.weight - sum(held.values())} | held
        return {version: weight for version, weight in weights.items() if version and weight}

    @property
    def running(self) -> set[str]:
        """Versions whose server must be up."""
        return {v for v in (self.production, self.candidate, self.standby, *self.staged) if v}

    def start(self, digest: str, weight: int, lease: float, now: float, supersede: bool = False) -> "EndpointState":
        """Give a candidate its first weight, 0 for shadow; the loop's very first version becomes production at once.

        `supersede`: it takes the place of another candidate, which is not rejected.
        """
        if self.candidate and self.candidate != digest:
            if not supersede:
                raise NotPossible(f"a rollout of {self.candidate[:12]} is under way: it ends first")
            alone = self.model_copy(update={"candidate": None, "weight": 0, "lease_until": None})
            return alone.start(digest, weight, lease, now)
        if digest == self.production:
            raise NotPossible(f"{digest[:12]} is production already")
        staged = {version: until for version, until in self.staged.items() if version != digest}
        if weight == 0:
            if self.production is None or self.candidate:
                what = "the candidate has its place already" if self.candidate else "there is no production whose requests could be copied"
                raise NotPossible(f"{digest[:12]} cannot start in shadow: {what}")
            held = None if digest == self.standby else self.held_back
            return self.model_copy(
                update={"candidate": digest, "staged": staged, "weight": 0, "lease_until": now + lease, "since": now, "held_back": held}
            )
        if self.production is None:
            return EndpointState(production=digest, since=now, rejected=self.rejected, staged=staged)
        return self.model_copy(update={"candidate": digest, "staged": staged}).ramp(weight, lease, now)

    def ramp(self, weight: int, lease: float, now: float, hold_back: int = 0, hold_back_for: float = 0.0) -> "EndpointState":
        """Change the candidate's weight; 100 makes it production and the old production the standby.

        `hold_back` percent of users then stay on that for so many seconds. A canary is compared with production alone: when one begins,
        holding back ends.
        """
        if self.candidate is None:
            raise NotPossible("there is no candidate to ramp: start one first")
        if not 0 < weight <= 100:
            raise NotPossible(f"a weight of {weight} % is not between 1 and 100")
        if weight == 100:
            return self.model_copy(
                update={
                    "production": self.candidate,
                    "standby": self.production,
                    "candidate": None,
                    "weight": 0,
                    "lease_until": None,
                    "since": now,
                    "held_back": HeldBack(weight=hold_back, since=now, until=now + hold_back_for) if hold_back else None,
                }
            )
        return self.model_copy(update={"weight": weight, "lease_until": now + lease, "since": now, "held_back": None})

    def renew(self, lease: float, now: float) -> "EndpointState":
        """Renew the candidate's lease: it ends `lease` seconds from now."""
        if self.candidate is None:
            raise NotPossible("there is no candidate whose lease could be renewed")
        return self.model_copy(update={"lease_until": now + lease})

    def rollback(self, now: float) -> "EndpointState":
        """Remove the candidate; without a candidate, swap standby and production."""
        if self.candidate:
            return self.model_copy(
                update={"candidate": None, "weight": 0, "lease_until": None, "since": now, "rejected": (*self.rejected, self.candidate)}
            )
        if self.standby and self.production:
            return self.model_copy(
                update={
                    "production": self.standby,
                    "standby": None,
                    "since": now,
                    "rejected": (*self.rejected, self.production),
                    "held_back": None,
                }
            )
        raise NotPossible("nothing to roll back to: there is neither a candidate nor a standby version")

    def rollback_of(self, seen: "EndpointState", now: float) -> "EndpointState":
        """The rollback that was decided on `seen`, of a state that may be a later one: its candidate may have been promoted since.

        Unchanged where what was meant is not what would be removed now: see whether it still has traffic.
        """
        out = seen.candidate or seen.production
        if self.candidate == out:
            return self.rollback(now)
        if self.production != out or (seen.candidate and self.standby != seen.production):
            return self
        if self.candidate:
            raise NotPossible(f"{self.candidate[:12]} became the candidate meanwhile: check the state and roll back again")
        return self.rollback(now)

    def expire(self, now: float) -> "EndpointState":
        """The state after its times: a canary whose lease was not renewed loses its traffic, holding back and staged versions end."""
        state = self
        if self.candidate and self.lease_until is not None and now >= self.lease_until:
            state = state.model_copy(update={"candidate": None, "weight": 0, "lease_until": None, "since": now})
        if self.held_back and now >= self.held_back.until:
            # a candidate in shadow keeps its evidence: what it was compared with is production, before and after
            state = state.model_copy(update={"held_back": None, "since": state.since if state.candidate else now})
        staged = {version: until for version, until in state.staged.items() if now < until}
        return state if staged == state.staged else state.model_copy(update={"staged": staged})

    def without(self, damaged: Collection[str], now: float) -> "EndpointState":
        """The state without damaged versions: standby replaces a damaged production, other damaged versions are removed.

        Without an intact standby a damaged production stays: the router must then refuse to answer.
        """
        sound: dict[str, str | None] = {
            role: None if version in damaged else version for role, version in (("candidate", self.candidate), ("standby", self.standby))
        }
        if self.production in damaged and sound["standby"]:
            sound = {"production": sound["standby"], "candidate": None, "standby": None}
        update: dict[str, object] = {**sound, "staged": {v: until for v, until in self.staged.items() if v not in damaged}}
        if not sound["candidate"]:
            update |= {"weight": 0, "lease_until": None}
        if not sound["standby"]:
            update["held_back"] = None
        state = self.model_copy(update=update)
        stays = state.candidate and (state.candidate, state.production) == (self.candidate, self.production)
        return state if state == self or stays else state.model_copy(update={"since": now})

    def stage(self, digest: str, until: float) -> "EndpointState":
        """Run a version without traffic until `until` (epoch seconds)."""
        return self.model_copy(update={"staged": {**self.staged, digest: until}})

    def unstage(self, digest: str) -> "EndpointState":
        """Stop staging a version."""
        return self.model_copy(update={"staged": {v: until for v, until in self.staged.items() if v != digest}})

    def choose(self, loop: str, key: str) -> str | None:
        """The version that answers for a sticky key: the same key stays on it, and a higher weight only adds keys.

        Each candidate gets keys of its own: a user whose client is broken must not be among the first of every rollout. Those held back are
        the last ones of the rollout that ended, so that most of them never had the new version.
        """
        if self.candidate and bucket(f"{loop}\x00{self.candidate}", key) < self.weight / 100:
            return self.candidate
        if self.held_back and self.standby and bucket(f"{loop}\x00{self.production}", key) >= 1 - self.held_back.weight / 100:
            return self.standby
        return self.production


def state_document(number: int, state: EndpointState) -> dict[str, Any]:
    """What `LOOP.state.json` holds: a state, and the number of the journal entry it follows from."""
    return formats.stamp("endpoint_state", {"number": number, "state": state.model_dump()})


def parse_state(content: bytes) -> tuple[int, EndpointState]:
    """Number and state of a `LOOP.state.json`. Raises NewerFormat, ValueError, KeyError or TypeError."""
    document = formats.read("endpoint_state", parse_json(content))
    return int(document["number"]), EndpointState.model_validate(document["state"])


def bucket(rollout: str, key: str) -> float:
    """A number in [0, 1) that depends on the rollout and the key alone."""
    digest = hashlib.blake2b(f"{rollout}\x00{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
