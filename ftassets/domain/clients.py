"""Who may ask the gateway: API keys as their hashes, what each may ask, and how much of it in a minute."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain.formats import Stored
from ftassets.errors import InvalidInput

PREFIX = "fta_"  # of every key, so that people and scanners of secrets tell one
MINUTE = 60.0
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,62}", re.ASCII)


class ClientKey(BaseModel):
    """One key of a client; a client that changes its key has two for a time. Times are epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str  # of the client
    key_id: str  # first characters of the hash, for people
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")  # of the key, which has 256 random bits: it cannot be tried until one fits
    loops: tuple[str, ...] | None = None  # None: all
    requests_a_minute: float | None = Field(None, gt=0)
    tokens_a_minute: float | None = Field(None, gt=0)
    made_at: float
    ends_at: float | None = None

    def valid(self, now: float) -> bool:
        """Whether it still counts."""
        return self.ends_at is None or now < self.ends_at

    def may_ask(self, loop: str) -> bool:
        """Whether the client may ask this loop."""
        return self.loops is None or loop in self.loops


class ClientKeys(Stored):
    """All keys of a gateway. Without any, everybody may ask."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "client_keys"

    keys: tuple[ClientKey, ...] = ()

    def of(self, key: str, now: float) -> ClientKey | None:
        """What is known of a key; None for an unknown one, and for one that has ended."""
        hashed = hash_of(key)
        return next((each for each in self.keys if each.sha256 == hashed and each.valid(now)), None)

    def added(self, new: ClientKey, now: float) -> "ClientKeys":
        """With the first key of a client. Raises InvalidInput for a name that is taken or cannot be one."""
        if not _NAME.fullmatch(new.name):
            raise InvalidInput(f"{new.name!r} cannot be the name of a client: write up to 63 letters, digits, dots, dashes and underscores")
        if self._valid(new.name, now):
            raise InvalidInput(f"there is a client {new.name} already: rotate its key, or revoke it first")
        return self.model_copy(update={"keys": (*self.keys, new)})

    def rotated(self, name: str, key: str, now: float, grace: float) -> "ClientKeys":
        """With another key of a client, who may use those before for `grace` seconds more. Raises InvalidInput."""
        valid = self._valid(name, now)
        if not valid:
            raise InvalidInput(f"there is no client {name}: ftassets clients list")
        new = valid[-1].model_copy(update={**_identity(key), "made_at": now, "ends_at": None})
        ended = self._ended(name, now + grace)
        return self.model_copy(update={"keys": (*ended, new)})

    def revoked(self, name: str, now: float) -> "ClientKeys":
        """Without a valid key of the client. Raises InvalidInput."""
        if not self._valid(name, now):
            raise InvalidInput(f"there is no client {name}: ftassets clients list")
        return self.model_copy(update={"keys": self._ended(name, now)})

    def _valid(self, name: str, now: float) -> Sequence[ClientKey]:
        return [each for each in self.keys if each.name == name and each.valid(now)]

    def _ended(self, name: str, at: float) -> tuple[ClientKey, ...]:
        return tuple(each.model_copy(update={"ends_at": min(at, each.ends_at or at)}) if each.name == name else each for each in self.keys)


def new_key(
    name: str, key: str, now: float, loops: Sequence[str] = (), requests: float | None = None, tokens: float | None = None
) -> ClientKey:
    """A client's key as it is stored."""
    return ClientKey(
        name=name, **_identity(key), loops=tuple(loops) or None, requests_a_minute=requests, tokens_a_minute=tokens, made_at=now
    )  # fmt: skip


def hash_of(key: str) -> str:
    """SHA-256 (hex) of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _identity(key: str) -> dict[str, str]:
    return {"sha256": hash_of(key), "key_id": hash_of(key)[:12]}


@dataclass
class Allowance:
    """What is left of a number a minute: a bucket that holds a minute's worth and fills evenly. It may be overdrawn once, then it fills."""

    a_minute: float
    left: float
    at: float

    @classmethod
    def full(cls, a_minute: float, now: float) -> "Allowance":
        """A minute's worth."""
        return cls(a_minute, a_minute, now)

    def wait(self, now: float, need: float = 1.0) -> float:
        """Seconds until `need` of it is there; 0 if it is."""
        self._fill(now)
        return max(0.0, (min(need, self.a_minute) - self.left) * MINUTE / self.a_minute)

    def take(self, number: float, now: float) -> None:
        """Use so much, also more than there is."""
        self._fill(now)
        self.left -= number

    def _fill(self, now: float) -> None:
        self.left = min(self.a_minute, self.left + max(0.0, now - self.at) * self.a_minute / MINUTE)
        self.at = max(self.at, now)
