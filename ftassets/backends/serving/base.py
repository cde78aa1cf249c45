"""Moving traffic between versions of a loop: what an endpoint must be able to do, whoever runs the models."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.errors import FtassetsError

PAGE = 50  # entries asked for at once
UNCONFIRMED = "x-ftassets-unconfirmed"  # header of an answer to a change: gateways that have not confirmed it, with the reason
ADMIN_PATH = "/admin/v1"  # of the gateway's admin API; another number once requests or answers change for those who use it


class ServingError(FtassetsError):
    """The gateway rejected the request or could not be reached; the message says why and what to do."""


class Refused(ServingError):
    """A version must not take traffic: missing attestation, wrong digest, changed files or unknown signer."""


class Serving(ABC):
    """Desired state of the endpoints and the few verbs that change it. Every change is journaled."""

    @abstractmethod
    def state(self, loop: str) -> EndpointState:
        """Where the loop's traffic goes now. Raises ServingError when the endpoint cannot be reached."""

    @abstractmethod
    def stage(self, loop: str, digest: str, seconds: float) -> str:
        """Start a version without traffic; returns the base URL of its OpenAI-compatible API. Gone after `seconds`."""

    @abstractmethod
    def unstage(self, loop: str, digest: str) -> None:
        """End a staged version unless it takes traffic."""

    @abstractmethod
    def start(self, loop: str, digest: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        """Give a candidate `weight` percent for `lease` seconds, 0 for shadow; the first one becomes production. Raises Refused."""

    @abstractmethod
    def ramp(self, loop: str, weight: int, lease: float, by: str, reason: str, candidate: str | None = None) -> EndpointState:
        """Change the candidate's weight; 100 promotes it and keeps the old production as standby.

        Who decided about one candidate names it: another that took its place meanwhile is left as it is. Raises Refused, ServingError.
        """

    @abstractmethod
    def renew(self, loop: str, lease: float) -> EndpointState:
        """Renew the candidate's lease: it ends `lease` seconds from now."""

    @abstractmethod
    def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        """Take the candidate out; with no candidate, go back to the standby. Needs no gate and no lease. Raises ServingError."""

    @abstractmethod
    def journal(self, after: int = 0) -> list[Transition]:
        """Entries of all loops with a number above `after`, oldest first."""

    @abstractmethod
    def newest(self, loop: str, limit: int, before: int | None = None) -> list[Transition]:
        """At most `limit` entries of a loop, newest first; only those with a number below `before` if one is given."""

    def recent(self, loop: str) -> Iterator[Transition]:
        """Entries of a loop, newest first, asked for page by page."""
        before = None
        while page := self.newest(loop, PAGE, before):
            yield from page
            before = page[-1].number

    @abstractmethod
    def health(self, loop: str | None = None) -> dict[str, Any]:
        """Whether the endpoint and its model servers answer; those of one loop if it is named."""
