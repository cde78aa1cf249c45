"""Who answers a request, and the few verbs that change it: admission, transitions, leases."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import MappingProxyType

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest, verify
from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import Journal
from ftassets.backends.control.releases import NotApproved, Releases, StatementMissing
from ftassets.backends.serving.base import Refused
from ftassets.backends.signer.base import SignatureInvalid, Signer
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import UnknownLoop
from ftassets.config.version_engine import serving_of
from ftassets.domain.release.attestation import objections, override_of
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.rollout.dead_candidate import Absence, absence, given_up
from ftassets.domain.rollout.endpoint import EndpointState, NotPossible
from ftassets.domain.rollout.transition import Transition
from ftassets.errors import FtassetsError, StateDamaged
from ftassets.gateway.fleet import Fleet
from ftassets.gateway.probing import objection

log = logging.getLogger(__name__)


class Unavailable(FtassetsError):
    """No version can answer now; the message says what to do. `route` is set when a version was chosen."""

    def __init__(self, message: str, route: "Route | None" = None, detail: str = "") -> None:
        super().__init__(message)
        self.route = route
        self.detail = detail


@dataclass(frozen=True)
class Route:
    """The version that answers a request: base URL of its server and the percent of traffic it has.

    `instead_of`: the version that production answers for, since its server does not; the weight is 0 then, as no choice was made.
    """

    loop: str
    version: str
    url: str
    weight: float
    instead_of: str | None = None


class Router:
    """Desired state of all loops. Reading is synchronous; every change is on disk before its verb returns."""

    def __init__(
        self,
        artifacts: Artifacts,
        control: Control,
        loops: Mapping[str, LoopConfig],
        fleet: Fleet,
        signer: Signer,
        clock: Callable[[], float] = time.time,
        held: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Take up what `control` has of the loops; one whose state is damaged is not served. Raises StateDamaged, OSError.

        `held` are loops whose file cannot be used now, with the reason: no version of theirs gains traffic.
        """
        self.loops = loops
        self.fleet = fleet
        self._artifacts = artifacts
        self._releases = Releases(control, signer)
        self._clock = clock
        self._journal = Journal(control)
        self._held = held
        self.damaged = {loop: why for loop, why in self._journal.damaged.items() if loop in loops}
        for loop, why in self.damaged.items():
            log.error("%s is not served: %s", loop, why)
        self._states = {loop: self._journal.state(loop) for loop in loops if loop not in self.damaged}
        self._blocked: dict[tuple[str, str], str] = {}
        self._absent: dict[str, Absence | None] = {}
        self._lock = asyncio.Lock()
        self.generation = lru_cache(maxsize=64)(lambda digest: load_manifest(artifacts, digest).generation)
        self.serving = lru_cache(maxsize=64)(lambda digest: serving_of(load_manifest(artifacts, digest), loops))

    async def open(self) -> None:
        """Check files and signature of every version that has or can get traffic; a damaged one gets no traffic.

        Production whose key was revoked keeps serving: revoking a key must not be an outage. A candidate or standby with a revoked
        key is removed.
        """
        await self._expire()  # a lease may have run out while nobody looked
        for loop, state in self.states().items():
            for digest in filter(None, (state.production, state.candidate, state.standby)):
                try:
                    await asyncio.to_thread(self._check_serving, loop, digest, digest == state.production)
                except (FtassetsError, OSError, ValueError) as error:  # whatever is wrong with it: other loops have no part in it
                    log.error("%s: %s", loop, error)
                    self._blocked[loop, digest] = str(error)
            out = {digest: why for (name, digest), why in self._blocked.items() if name == loop}
            if loop in self._held and state.candidate:  # nothing decides about it until the file can be used again
                out.setdefault(state.candidate, self._held[loop])
            sound = state.without(out, self._clock())
            if sound != state:
                try:
                    await self._move_first(loop, "rollback", "gateway", "; ".join(out.values()), sound)
                except OSError:
                    log.exception("what was taken from %s took effect but could not be written down", loop)

    async def run(self) -> None:
        """Expire leases and give up dead candidates each second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            await self._expire()
            await self._give_up_dead()

    # reading

    def state(self, loop: str) -> EndpointState:
        """Raises UnknownLoop, StateDamaged."""
        if why := self.damaged.get(loop):
            raise StateDamaged(f"{why}; then start the gateway again")
        if loop not in self._states:
            raise UnknownLoop(f"there is no loop {loop!r}; there are {', '.join(sorted(self._states)) or 'none'}")
        return self._states[loop]

    def states(self) -> dict[str, EndpointState]:
        """State of every loop whose state can be read."""
        return dict(self._states)

    def journal(self, after: int, before: int | None = None, loop: str | None = None, newest: int | None = None) -> list[Transition]:
        """Changes with a number between `after` and `before`, oldest first: of one loop if it is named, and only so many of the newest."""
        wanted = (t for t in self._journal.backwards(after) if (before is None or t.number < before) and loop in (None, t.loop))
        return list(islice(wanted, newest))[::-1]

    def wanted(self) -> set[str]:
        """Versions whose server must be up."""
        return {v for loop, state in self._states.items() for v in state.running if (loop, v) not in self._blocked}

    def route(self, loop: str, key: str) -> Route:
        """Who answers. Raises UnknownLoop, Unavailable."""
        try:
            state = self.state(loop)
        except StateDamaged as error:
            raise Unavailable(f"loop {loop} cannot answer now: its state cannot be read", detail=str(error)) from error
        version = state.choose(loop, key)
        if version is None:
            raise Unavailable(f"loop {loop} has no production version yet: release one, then start it")
        production = state.production
        if version != production and production and not self.answers(loop, version) and self.answers(loop, production):
            return Route(loop, production, self.fleet.ready[production], 0.0, instead_of=version)
        route = Route(loop, version, self.fleet.ready.get(version, ""), float(state.weights[version]))
        if not self.answers(loop, version):
            why = f"version {version[:12]} of {loop} cannot answer now: {self.why_not_in_short(loop, version)}"
            raise Unavailable(why, route, self.why_not(loop, version))
        return route

    def shadowed(self, loop: str) -> Route | None:
        """The candidate that answers copies of the loop's requests, if one is in shadow; without a URL while its server does not answer."""
        state = self._states.get(loop)
        if state is None or state.candidate is None or not state.in_shadow:
            return None
        url = self.fleet.ready[state.candidate] if self.answers(loop, state.candidate) else ""
        return Route(loop, state.candidate, url, 0.0)

    def answers(self, loop: str, digest: str) -> bool:
        """Whether a version may answer and has a server that does."""
        return (loop, digest) not in self._blocked and digest in self.fleet.ready

    def why_not_in_short(self, loop: str, digest: str) -> str:
        """Why a version does not answer, for clients: without paths, addresses or the ends of logs."""
        if (loop, digest) in self._blocked:
            return "its files or its signature are not those of the release"
        return "its server could not be started" if digest in self.fleet.failures else "its server is starting"

    def why_not(self, loop: str, digest: str) -> str:
        """Why a version does not answer, for people who run the gateway."""
        if why := self._blocked.get((loop, digest)):
            return f"{why} (checked when the gateway starts)"
        return self.fleet.why_down(digest)

    # changing

    async def stage(self, loop: str, digest: str, seconds: float) -> str:
        """Bring a version up without traffic; its base URL. Raises UnknownLoop, Refused, HostError."""
        self.state(loop)
        await asyncio.to_thread(self._verified, digest)
        async with self.fleet.up(digest) as url, self._changing(loop) as state:
            await self._write_first(loop, "stage", "admin", f"for {seconds:.0f} s", state.stage(digest, self._clock() + seconds))
        return f"{url}/v1"

    async def unstage(self, loop: str, digest: str) -> EndpointState:
        """End staging. Raises UnknownLoop."""
        async with self._changing(loop) as state:
            if digest not in state.staged:
                return state
            return await self._write_first(loop, "unstage", "admin", "", state.unstage(digest))

    async def start(self, loop: str, digest: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        """Give a checked version its first weight, 0 for shadow. Raises UnknownLoop, NotPossible, Refused, HostError."""
        before, supersede = self.state(loop), self.loops[loop].rollout.on_newer == "supersede"
        before.start(digest, weight, lease, self._clock(), supersede)  # say what is impossible before hashing and waiting
        await asyncio.to_thread(self._check_raised, loop, digest)
        async with self.fleet.up(digest) as url, self._applied(loop, digest, url), self._changing(loop) as state:
            if state.production != before.production:
                raise NotPossible(f"production of {loop} changed meanwhile: check its state and start again")
            said = await asyncio.to_thread(self._check_evidence, loop, digest)  # its server took its time: what is true now counts
            self._blocked.pop((loop, digest), None)
            if state.candidate not in (None, digest):
                said.append(f"in place of {str(state.candidate)[:12]}, whose rollout ends here")
            action, started = "start" if weight else "shadow", state.start(digest, weight, lease, self._clock(), supersede)
            return await self._write_first(loop, action, by, "; ".join([reason, *said]), started)

    async def ramp(self, loop: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        """Change the candidate's weight. Raises UnknownLoop, NotPossible, Refused, HostError."""
        before = self.state(loop)
        before.ramp(weight, lease, self._clock())
        digest = before.candidate or ""
        raises = weight > before.weight
        if raises:
            await asyncio.to_thread(self._check_raised, loop, digest)
        async with self.fleet.up(digest) as url, self._applied(loop, digest, url if raises else None), self._changing(loop) as state:
            if state.candidate != digest:
                raise NotPossible(f"{digest[:12]} is no longer the candidate")
            if weight > state.weight and not raises:  # its files were not compared for that
                raise NotPossible(f"the weight of {digest[:12]} changed to {state.weight} % meanwhile: check its state and ramp again")
            said: list[str] = []
            if weight > state.weight:
                said = await asyncio.to_thread(self._check_evidence, loop, digest)
            else:
                await asyncio.to_thread(self._check_signature, loop, digest)
            action = "promote" if weight == 100 else "start" if state.in_shadow else "ramp"  # a canary begins with its start
            policy = self.loops[loop].rollout
            hold_back = await asyncio.to_thread(self._hold_back, loop, state) if weight == 100 else 0
            ramped = state.ramp(weight, lease, self._clock(), hold_back, policy.hold_back_for)
            return await self._write_first(loop, action, by, "; ".join([reason, *said]), ramped)

    async def renew(self, loop: str, lease: float) -> EndpointState:
        """Renew the candidate's lease; no journal entry. Raises UnknownLoop, NotPossible, Refused (its lease then runs out)."""
        async with self._changing(loop) as state:
            if state.candidate:
                self._check_held(loop)
                if state.candidate in self.fleet.failures:  # production answers for it: what it does cannot be seen any more
                    raise Refused(f"version {state.candidate[:12]} does not answer ({self.why_not(loop, state.candidate)})")
                await asyncio.to_thread(self._check_signature, loop, state.candidate)
            renewed = state.renew(lease, self._clock())
            await asyncio.to_thread(self._journal.keep, loop, renewed)
            self._states[loop] = renewed
            return renewed

    async def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        """Candidate out, or back to the standby. Raises UnknownLoop, NotPossible, Refused (the standby is not what was signed)."""
        async with self._changing(loop) as state:
            back = state.rollback(self._clock())
            if back.production != state.production:
                # its server checked every byte when it started; reading them all again would take longer than a rollback may
                await asyncio.to_thread(self._check_signature, loop, back.production or "")
            return await self._move_first(loop, "rollback", by, reason, back)

    async def _expire(self) -> None:
        now = self._clock()
        for loop in [name for name, state in self._states.items() if state.expire(now) != state]:
            async with self._changing(loop) as state:
                expired = state.expire(now)
                if expired != state:
                    reason = "the time of staged versions is up"
                    if expired.candidate != state.candidate:
                        reason = "the candidate's lease was not renewed"
                    elif expired.held_back != state.held_back:
                        reason = "the time of holding users back is up"
                    try:
                        await self._move_first(loop, "expire", "lease", reason, expired)
                    except OSError:
                        log.exception("%s: an expired lease took effect but could not be written down", loop)

    async def _give_up_dead(self) -> None:
        """Roll back candidates whose server does not come back. Production answers for them since it went."""
        for loop, state in self.states().items():
            candidate, production, now = state.candidate, state.production, self._clock()
            alive = candidate is not None and self.answers(loop, candidate)
            absent = absence(self._absent.get(loop), candidate, alive, production is not None and self.answers(loop, production), now)
            self._absent[loop] = absent
            why = given_up(absent, self.loops[loop].rollout.server_patience, now, self.why_not(loop, candidate or ""))
            if why is None:
                continue
            async with self._changing(loop) as current:
                if current.candidate == candidate and not self.answers(loop, candidate or ""):
                    try:
                        await self._move_first(loop, "rollback", "gateway", why, current.rollback(now))
                    except OSError:
                        log.exception("%s: a rollback took effect but could not be written down", loop)

    @asynccontextmanager
    async def _applied(self, loop: str, digest: str, url: str | None) -> AsyncIterator[None]:
        """Raises Refused if the engine at `url` is not the version that was evaluated, such as one without its adapter.

        None is not asked: the weight is not raised.
        """
        if url is None:
            yield
            return
        predicate = read_statement(await asyncio.to_thread(self._check_attested, loop, self._manifest(digest), None))[2]
        sampled = self.generation(digest).get("temperature") and self.serving(digest).engine == "transformers"
        if not sampled and not predicate.get("adopted"):  # `transformers serve` decodes all requests alike, and has merged weights
            why = await objection(self._artifacts, self.loops[loop], digest, str(predicate.get("report_digest")), url)
            if why:
                raise Refused(f"version {digest[:12]} gets no traffic: {why}")
        yield

    @asynccontextmanager
    async def _changing(self, loop: str) -> AsyncIterator[EndpointState]:
        """The current state under the lock, which is held for small files, never for a model server or a version's weights."""
        self.state(loop)
        async with self._lock:
            yield self._states[loop]

    async def _write_first(self, loop: str, action: str, by: str, reason: str, state: EndpointState) -> EndpointState:
        """Persist the change before applying it. For changes that give traffic."""
        await asyncio.to_thread(self._journal.record, loop, action, by, reason, state, self._clock())
        return self._put(loop, action, by, reason, state)

    async def _move_first(self, loop: str, action: str, by: str, reason: str, state: EndpointState) -> EndpointState:
        """Apply the change before persisting it. For changes that take traffic away: they work even on a full disk."""
        self._put(loop, action, by, reason, state)
        await asyncio.to_thread(self._journal.record, loop, action, by, reason, state, self._clock())
        return state

    def _put(self, loop: str, action: str, by: str, reason: str, state: EndpointState) -> EndpointState:
        self._states[loop] = state
        self.fleet.wake()
        log.info("%s: %s by %s (%s): %s", loop, action, by, reason, {version[:12]: weight for version, weight in state.weights.items()})
        return state

    # checks (blocking: call in a thread)

    def _verified(self, digest: str) -> VersionManifest:
        try:
            return verify(self._artifacts, digest)
        except (VersionDamaged, OSError) as error:
            raise Refused(str(error)) from error

    def _check_raised(self, loop: str, digest: str) -> None:
        """Check everything that a version needs to gain traffic, every byte of its files included."""
        self._check_held(loop)
        self._verified(digest)
        self._check_evidence(loop, digest)

    def _check_evidence(self, loop: str, digest: str) -> list[str]:
        """Check what a version needs to gain traffic now, its files aside. Returns its approval or override for the journal.

        A former production version passed these checks before: going back to it needs neither evidence nor approvals.
        """
        manifest = self._manifest(digest)
        if any(transition.loop == loop and transition.state.production == digest for transition in self._journal.entries()):
            self._check_attested(loop, manifest, None)
            return []
        payload = self._check_attested(loop, manifest, self._clock())
        _, _, predicate = read_statement(payload)
        if predicate.get("adopted"):
            return [f"adopted without evaluation by {predicate['by']}"]
        production, compared = self._states[loop].production, str(predicate.get("compared_with"))
        if production and compared != production:
            raise Refused(
                f"version {digest[:12]} was compared with {compared[:12]}, production is {production[:12]}: "
                "materialize eval_report and release again"
            )
        said = [override.sentence] if (override := override_of(predicate)) else []
        if self.loops[loop].mode == "propose":
            try:
                said.append(self._releases.approval(self.loops[loop], digest, str(predicate.get("report_digest"))).sentence)
            except NotApproved as error:
                raise Refused(str(error)) from error
        return said

    def _hold_back(self, loop: str, state: EndpointState) -> int:
        """Percent of users to hold back at a promotion: none where the version before is not what was signed."""
        wanted = self.loops[loop].rollout.hold_back
        if not wanted or state.production is None:
            return 0
        try:
            self._check_signature(loop, state.production)
        except Refused as error:
            log.error("%s: no user is held back: %s", loop, error)
            return 0
        return wanted

    def _check_held(self, loop: str) -> None:
        if why := self._held.get(loop):
            raise Refused(f"{loop} is served as it was, and nothing new gets traffic: {why}. Correct it, then start `ftassets up` again")

    def _check_serving(self, loop: str, digest: str, production: bool) -> None:
        self._check_attested(loop, self._verified(digest), None, revoked_counts=production)

    def _check_signature(self, loop: str, digest: str) -> None:
        if why := self._blocked.get((loop, digest)):
            raise Refused(why)
        self._check_attested(loop, self._manifest(digest), None)

    def _manifest(self, digest: str) -> VersionManifest:
        try:
            return load_manifest(self._artifacts, digest)
        except VersionDamaged as error:
            raise Refused(str(error)) from error

    def _check_attested(self, loop: str, manifest: VersionManifest, raised_at: float | None, revoked_counts: bool = False) -> bytes:
        """The release statement, which allows the version; see `objections` for `raised_at`. Raises Refused."""
        digest = manifest.digest
        try:
            signed = self._releases.read(loop, digest)
        except (StatementMissing, OSError) as error:
            raise Refused(f"version {digest[:12]} has no release attestation for loop {loop}: materialize its release first") from error
        except SignatureInvalid as error:
            raise Refused(f"version {digest[:12]}: {error}") from error
        if signed.revoked is not None:
            revoked = f"version {digest[:12]} was signed by key {signed.key_id[:12]}, which was revoked ({signed.revoked})"
            if not revoked_counts:
                again = "release another version" if digest == self._states[loop].standby else "materialize its release again"
                raise Refused(f"{revoked}: {again}")
            log.error("%s: %s; it serves on until something else is released", loop, revoked)
        first = self._states[loop].production is None
        if why := objections(signed.payload, loop, digest, manifest.files, manifest.generation, raised_at, first):
            raise Refused(f"version {digest[:12]}: {'; '.join(why)}")
        return signed.payload
