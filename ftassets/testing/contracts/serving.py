"""What every serving backend must do."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ftassets.backends.serving.base import Refused, Serving, ServingError
from ftassets.config.home import Home
from ftassets.testing.releases import attest_evaluated, make_version


@dataclass
class Backend:
    """A serving backend that has the loop `support` with nothing in it, and the home whose versions and releases it checks."""

    home: Home
    serving: Serving
    make: Callable[[Home, str], str] = make_version  # publishes a version that the backend's engine can serve; its digest

    def version(self, content: str) -> str:
        """Digest of a version that is not released."""
        return self.make(self.home, content)

    def released(self, content: str) -> str:
        """Digest of a version that may take traffic."""
        digest = self.version(content)
        attest_evaluated(self.home, "support", digest)
        return digest


class ServingContract:
    """Subclass it with a fixture `backend`: a Backend, new to the test; its model servers may be stubs."""

    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError("a contract is run by a subclass with a fixture `backend`")

    def test_a_loop_from_its_first_version_to_a_rollback(self, backend: Backend) -> None:
        serving, first, second = backend.serving, backend.released("a"), backend.released("b")
        assert serving.state("support").phase == "idle"
        assert serving.start("support", first, 5, 60, "run:1", "first").weights == {first: 100}
        assert serving.start("support", second, 5, 60, "run:2", "canary").weights == {second: 5, first: 95}
        assert serving.ramp("support", 50, 60, "run:3", "checks passed").weights == {second: 50, first: 50}
        lease = serving.state("support").lease_until
        renewed = serving.renew("support", 120).lease_until
        assert lease is not None
        assert renewed is not None
        assert renewed > lease
        promoted = serving.ramp("support", 100, 60, "run:4", "every check passed")
        assert (promoted.production, promoted.standby) == (second, first)
        assert serving.rollback("support", "cli", "users complain").production == first
        assert serving.state("support").rejected == (second,)
        journal = serving.journal()
        assert [transition.number for transition in journal] == [1, 2, 3, 4, 5]
        assert [(transition.action, transition.by) for transition in journal] == [
            ("start", "run:1"),
            ("start", "run:2"),
            ("ramp", "run:3"),
            ("promote", "run:4"),
            ("rollback", "cli"),
        ]
        assert journal[-1].state == serving.state("support")
        assert serving.journal(4) == journal[4:]
        assert serving.newest("support", 2) == journal[:2:-1]
        assert serving.newest("support", 9, before=3) == journal[1::-1]
        assert list(serving.recent("support")) == journal[::-1]
        assert (serving.newest("other", 9), list(serving.recent("other"))) == ([], [])

    def test_a_candidate_in_shadow_has_no_traffic_until_it_is_ramped(self, backend: Backend) -> None:
        serving, first, second = backend.serving, backend.released("a"), backend.released("b")
        with pytest.raises(ServingError, match="no production whose requests could be copied"):
            serving.start("support", first, 0, 60, "run:1", "too early")
        serving.start("support", first, 100, 60, "run:1", "first")
        with pytest.raises(Refused, match="no release attestation"):
            serving.start("support", backend.version("unreleased"), 0, 60, "cli", "")
        shadow = serving.start("support", second, 0, 60, "run:2", "shadow")
        assert (shadow.phase, shadow.candidate, shadow.weights) == ("shadow", second, {first: 100})
        assert serving.renew("support", 120).phase == "shadow"
        assert serving.ramp("support", 5, 60, "run:3", "as good").weights == {second: 5, first: 95}
        assert [transition.action for transition in serving.journal()] == ["start", "shadow", "start"], "a canary begins with its start"

    def test_what_is_not_released_is_refused_and_what_is_impossible_says_so(self, backend: Backend) -> None:
        serving = backend.serving
        with pytest.raises(Refused, match="no release attestation"):
            serving.start("support", backend.version("a"), 5, 60, "cli", "")
        with pytest.raises(ServingError, match="nothing to roll back to"):
            serving.rollback("support", "cli", "")
        with pytest.raises(ServingError, match="no candidate"):
            serving.ramp("support", 50, 60, "cli", "")
        with pytest.raises(ServingError, match="no loop 'unknown'"):
            serving.state("unknown")
        assert serving.state("support").phase == "idle"

    def test_staging_gives_a_url_and_ends(self, backend: Backend) -> None:
        digest = backend.version("a")
        assert backend.serving.stage("support", digest, 60).startswith("http")
        assert digest in backend.serving.state("support").staged
        assert backend.serving.state("support").weights == {}
        assert backend.serving.health()["versions"][digest]["ready"]
        backend.serving.unstage("support", digest)
        backend.serving.unstage("support", digest)
        assert backend.serving.state("support").staged == {}
