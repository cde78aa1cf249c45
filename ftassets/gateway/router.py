"""Who answers a request, and the few verbs that change it: admission, transitions, leases."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import MappingProxyType

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest, own_generation, verify
from ftassets.backends.control.base import Control, Overtaken
from ftassets.backends.control.journal import Found, Journal
from ftassets.backends.control.releases import NotApproved, Releases, StatementMissing
from ftassets.backends.serving.base import Refused
from ftassets.backends.signer.base import SignatureInvalid, Signer
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import UnknownLoop
from ftassets.config.version_engine import serving_of
from ftassets.domain.release.attestation import objections, override_of
from ftassets.domain.release.decoding import truncation
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.rollout.dead_candidate import Absence, absence, given_up
from ftassets.domain.rollout.endpoint import EndpointState, NotPossible
from ftassets.domain.rollout.transition import Transition
from ftassets.errors import FtassetsError, StateDamaged
from ftassets.gateway.fleet import START_TIMEOUT, Fleet
from ftassets.gateway.model_hosts.base import HostError
from ftassets.gateway.peers import Peers
from ftassets.gateway.probing import objection

log = logging.getLogger(__name__)

_AT_ONCE = 0.5  # seconds that a rollback waits for what others changed: it must not wait for a server that is silent


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


class NotWritten(FtassetsError):
    """A change could not be written down; the message says what is in force."""


@dataclass(frozen=True)
class _Move:
    """A change that is in force here before it is written: `change` makes it of whatever state is the newest then."""

    action: str
    by: str
    reason: str
    change: Callable[[EndpointState], EndpointState]


_Given = tuple[str, str, EndpointState]  # action, reason and the state after it


class Router:
    """What is in force for all loops. Reading is synchronous; every change is on disk before its verb returns.

    What gives traffic is written first, and decided anew when another gateway wrote something meanwhile. What takes traffic away is in
    force here first: it is owed to the journal until it could be written.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        control: Control,
        loops: Mapping[str, LoopConfig],
        fleet: Fleet,
        signer: Signer,
        clock: Callable[[], float] = time.time,
        held: Mapping[str, str] = MappingProxyType({}),
        peers: Peers | None = None,
    ) -> None:
        """Take up what `control` has of the loops; one whose state is damaged is not served. Raises StateDamaged, OSError.

        `held` are loops whose file cannot be used now, with the reason: no version of theirs gains traffic. `peers` are the gateways that
        share `control`, if others may.
        """
        self.loops = loops
        self.fleet = fleet
        self._artifacts = artifacts
        self._releases = Releases(control, signer)
        self._clock = clock
        self._journal = Journal(control)
        self._held = held
        self.peers = peers
        self._owed: dict[str, list[_Move]] = {}
        self._owing = ""  # why what is owed cannot be written
        self.damaged = {loop: why for loop, why in self._journal.damaged.items() if loop in loops}
        for loop, why in self.damaged.items():
            log.error("%s is not served: %s", loop, why)
        self._states = {loop: self._journal.state(loop) for loop in loops if loop not in self.damaged}
        self._blocked: dict[tuple[str, str], str] = {}
        self._absent: dict[str, Absence | None] = {}
        self._lock = asyncio.Lock()
        self.generation = lru_cache(maxsize=64)(lambda digest: load_manifest(artifacts, digest).generation)
        self.sampling = lru_cache(maxsize=64)(lambda digest: truncation(self.generation(digest), own_generation(artifacts, digest)))
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
            if self.peers and self.peers.live > 1:  # what is wrong on this machine may be right on the others: it does not answer here
                self._blocked |= {(loop, digest): why for digest, why in out.items()}
                continue
            if state.without(out, self._clock()) != state:
                move = _Move("rollback", "gateway", "; ".join(out.values()), lambda state, out=out: state.without(out, self._clock()))  # type: ignore[misc]
                with suppress(NotWritten):
                    await self._take(loop, move)

    async def run(self) -> None:
        """Expire leases, give up dead candidates and write what is owed each second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            await self._expire()
            await self._give_up_dead()
            await self._write_owed()

    async def follow(self) -> None:
        """Take over what other gateways changed. Raises OSError, StateDamaged."""
        self._taken(await asyncio.to_thread(self._journal.read_new))

    # reading

    def state(self, loop: str) -> EndpointState:
        """Raises UnknownLoop, StateDamaged."""
        if why := self.damaged.get(loop):
            raise StateDamaged(f"{why}; then start the gateway again")
        if loop not in self._states:
            raise UnknownLoop(f"there is no loop {loop!r}; there are {', '.join(sorted(self._states)) or 'none'}")
        return self._states[loop]

    async def newest(self, loop: str) -> EndpointState:
        """The same, with what other gateways changed until now, as far as they can be asked. Raises UnknownLoop, StateDamaged."""
        self.state(loop)
        if self.peers:
            with suppress(OSError, StateDamaged):
                await asyncio.wait_for(self._catch_up(loop), _AT_ONCE)
        return self.state(loop)

    async def confirmed(self) -> list[str]:
        """Wait for other gateways to have what is in force here; those that have not confirmed it within a second."""
        return await self.peers.confirmed(self.revision) if self.peers else []

    @property
    def revision(self) -> int:
        """Number of the newest change that is in force here."""
        return self._journal.last

    def states(self) -> dict[str, EndpointState]:
        """State of every loop whose state can be read."""
        return dict(self._states)

    def journal(self, after: int, before: int | None = None, loop: str | None = None, newest: int | None = None) -> list[Transition]:
        """Changes with a number between `after` and `before`, oldest first: of one loop if it is named, and only so many of the newest."""
        wanted = (t for t in self._journal.backwards(after) if (before is None or t.number < before) and loop in (None, t.loop))
        return list(islice(wanted, newest))[::-1]

    def wanted(self) -> set[str]:
        """Versions whose server must be up."""
        asked = self.peers.asked() if self.peers else set[str]()
        return asked | {v for loop, state in self._states.items() for v in state.running if (loop, v) not in self._blocked}

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
        """Bring a version up without traffic; its base URL. Raises UnknownLoop, Refused, HostError, NotWritten."""
        self.state(loop)
        await asyncio.to_thread(self._verified, digest)

        async def decide(state: EndpointState) -> _Given:
            return "stage", f"for {seconds:.0f} s", state.stage(digest, self._clock() + seconds)

        async with self.fleet.up(digest) as url:
            await self._give(loop, "admin", decide)
        return f"{url}/v1"

    async def unstage(self, loop: str, digest: str) -> EndpointState:
        """End staging. Raises UnknownLoop, NotWritten."""

        async def decide(state: EndpointState) -> _Given | None:
            return ("unstage", "", state.unstage(digest)) if digest in state.staged else None

        return await self._give(loop, "admin", decide)

    async def start(self, loop: str, digest: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        """Give a checked version its first weight, 0 for shadow. Raises UnknownLoop, NotPossible, Refused, HostError, NotWritten."""
        before, supersede = await self.newest(loop), self.loops[loop].rollout.on_newer == "supersede"
        before.start(digest, weight, lease, self._clock(), supersede)  # say what is impossible before hashing and waiting
        await asyncio.to_thread(self._check_raised, loop, digest)

        async def decide(state: EndpointState) -> _Given:
            if state.production != before.production:
                raise NotPossible(f"production of {loop} changed meanwhile: check its state and start again")
            said = await asyncio.to_thread(self._check_evidence, loop, digest)  # its server took its time: what is true now counts
            self._blocked.pop((loop, digest), None)
            if state.candidate not in (None, digest):
                said.append(f"in place of {str(state.candidate)[:12]}, whose rollout ends here")
            action = "start" if weight else "shadow"
            return action, "; ".join([reason, *said]), state.start(digest, weight, lease, self._clock(), supersede)

        async with self._up_everywhere(digest) as url, self._applied(loop, digest, url):
            return await self._give(loop, by, decide)

    async def ramp(self, loop: str, weight: int, lease: float, by: str, reason: str, candidate: str | None = None) -> EndpointState:
        """Change the candidate's weight; that of `candidate` alone if one is named.

        Raises UnknownLoop, NotPossible, Refused, HostError, NotWritten.
        """
        before = await self.newest(loop)
        before.ramp(weight, lease, self._clock())
        digest = before.candidate or ""
        if candidate not in (None, digest):
            raise NotPossible(f"{str(candidate)[:12]} is not the candidate of {loop}, {digest[:12]} is: check its state and ramp again")
        raises = weight > before.weight
        if raises:
            await asyncio.to_thread(self._check_raised, loop, digest)

        async def decide(state: EndpointState) -> _Given:
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
            return action, "; ".join([reason, *said]), ramped

        up = self._up_everywhere(digest) if weight == 100 else self.fleet.up(digest)
        async with up as url, self._applied(loop, digest, url if raises else None):
            return await self._give(loop, by, decide)

    async def renew(self, loop: str, lease: float) -> EndpointState:
        """Renew the candidate's lease; no journal entry. Raises UnknownLoop, NotPossible, Refused (its lease then runs out), NotWritten."""
        async with self._changing(loop):
            while True:
                state, number = self._states[loop], self._journal.number(loop)
                if state.candidate:
                    self._check_held(loop)
                    if state.candidate in self.fleet.failures:  # production answers for it: what it does cannot be seen any more
                        raise Refused(f"version {state.candidate[:12]} does not answer ({self.why_not(loop, state.candidate)})")
                    await asyncio.to_thread(self._check_signature, loop, state.candidate)
                renewed = state.renew(lease, self._clock())
                try:
                    await asyncio.to_thread(self._journal.keep, loop, renewed, number)
                    break
                except Overtaken:  # by a rollback, for example: a renewal must not undo it
                    await self._catch_up(loop)
                except OSError as error:
                    raise NotWritten(f"the lease of {loop} was not renewed ({error})") from error
            self._show(loop)
            return self._states[loop]

    async def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        """Candidate out, or back to the standby. Raises UnknownLoop, NotPossible, NotWritten, Refused (another standby was signed)."""
        state = await self.newest(loop)
        back = state.rollback(self._clock())
        if back.production != state.production:
            # its server checked every byte when it started; reading them all again would take longer than a rollback may
            await asyncio.to_thread(self._check_signature, loop, back.production or "")
        after = await self._take(loop, _Move("rollback", by, reason, self._back(state)))
        out = state.candidate or state.production
        if out in after.weights:  # another gateway changed more than a rollback of what was seen can take back
            raise NotPossible(f"{str(out)[:12]} still has traffic, the endpoint changed meanwhile: check the state and roll back again")
        return after

    def _back(self, seen: EndpointState) -> Callable[[EndpointState], EndpointState]:
        """The rollback of what was seen, whatever another gateway changes meanwhile."""
        return lambda state: state.rollback_of(seen, self._clock())

    async def _expire(self) -> None:
        now = self._clock()
        for loop in [name for name, state in self.states().items() if state.expire(now) != state]:
            with suppress(NotWritten, StateDamaged):
                state = await self.newest(loop)  # another gateway may have renewed the lease
                expired = state.expire(now)
                if expired != state:
                    reason = "the time of staged versions is up"
                    if expired.candidate != state.candidate:
                        reason = "the candidate's lease was not renewed"
                    elif expired.held_back != state.held_back:
                        reason = "the time of holding users back is up"
                    await self._take(loop, _Move("expire", "lease", reason, lambda state: state.expire(self._clock())))

    async def _give_up_dead(self) -> None:
        """Roll back candidates whose server does not come back. Production answers for them since it went.

        What answers another gateway is not given up: this one's machine is at fault.
        """
        for loop, state in self.states().items():
            candidate, production, now = state.candidate, state.production, self._clock()
            alive = candidate is not None and (self.answers(loop, candidate) or bool(self.peers and self.peers.answers(candidate)))
            absent = absence(self._absent.get(loop), candidate, alive, production is not None and self.answers(loop, production), now)
            self._absent[loop] = absent
            why = given_up(absent, self.loops[loop].rollout.server_patience, now, self.why_not(loop, candidate or ""))
            if why is not None:
                with suppress(NotWritten, StateDamaged):
                    await self._take(loop, _Move("rollback", "gateway", why, self._back(state)))

    @asynccontextmanager
    async def _applied(self, loop: str, digest: str, url: str | None) -> AsyncIterator[None]:
        """Raises Refused if the engine at `url` is not the version that was evaluated, such as one without its adapter.

        None is not asked: the weight is not raised.
        """
        if url is None:
            yield
            return
        manifest = await asyncio.to_thread(self._manifest, digest)
        predicate = read_statement(await asyncio.to_thread(self._check_attested, loop, manifest, None))[2]
        if not predicate.get("adopted"):
            why = await objection(self._artifacts, self.loops[loop], digest, str(predicate.get("report_digest")), url)
            if why:
                raise Refused(f"version {digest[:12]} gets no traffic: {why}")
        yield

    @asynccontextmanager
    async def _changing(self, loop: str) -> AsyncIterator[None]:
        """The lock, with what other gateways changed taken over. It is held for small files, never for a model server or weights."""
        self.state(loop)
        async with self._lock:
            if self.peers:
                try:
                    await self._catch_up(loop)
                except OSError as error:
                    raise NotWritten(f"nothing was changed: {error}") from error
            self.state(loop)
            yield

    async def _give(self, loop: str, by: str, decide: Callable[[EndpointState], Awaitable[_Given | None]]) -> EndpointState:
        """Persist a change before applying it. For changes that give traffic."""
        async with self._changing(loop):
            while True:
                basis = self._journal.basis
                given = await decide(self._states[loop])
                if given is None:
                    return self._states[loop]
                action, reason, state = given
                try:
                    await asyncio.to_thread(self._journal.record, loop, action, by, reason, state, self._clock(), basis)
                except Overtaken:
                    await self._catch_up(loop)
                    continue
                except OSError as error:
                    why = f"the change of {loop} could not be written down ({error})"
                    raise NotWritten(f"{why}, and is not in force here: read the state before you ask again") from error
                self._show(loop)
                _log(loop, action, by, reason, state)
                return state

    async def _take(self, loop: str, move: _Move) -> EndpointState:
        """Apply a change before persisting it. For changes that take traffic away: they work even on a full disk. Raises NotWritten."""
        after = move.change(self.state(loop))
        self._owed.setdefault(loop, []).append(move)
        self._show(loop)
        _log(loop, move.action, move.by, move.reason, after)
        await self._write_owed()
        if self._owed.get(loop):
            raise NotWritten(
                f"the {move.action} of {loop} is in force at this gateway, but could not be written down ({self._owing}): "
                "no other gateway knows of it, nor does this one after a restart; it is tried each second"
            )
        return self.state(loop)

    async def _write_owed(self) -> None:
        """Write what is in force here and not in the journal yet, as far as the newest state still has what it takes away."""
        if not self._owed:
            return
        async with self._lock:
            for loop in list(self._owed):
                try:
                    await self._write_moves(loop)
                except (StateDamaged, OSError) as error:
                    if str(error) != self._owing:
                        log.error("%s: what was taken from it is in force, but could not be written down: %s", loop, error)
                    self._owing = str(error)
                else:
                    self._owed.pop(loop)
                    self._show(loop)

    async def _write_moves(self, loop: str) -> None:
        moves = self._owed[loop]
        if self.peers:
            await self._catch_up(loop)
        while moves:
            move, basis, stored = moves[0], self._journal.basis, self._journal.state(loop)
            try:
                state = move.change(stored)
                if state != stored:
                    arguments = (loop, move.action, move.by, move.reason, state, self._clock(), basis)
                    await asyncio.to_thread(self._journal.record, *arguments)
            except NotPossible as error:
                log.warning("%s: a %s is not made any more: %s", loop, move.action, error)
            except Overtaken:
                await self._catch_up(loop)
                continue
            moves.pop(0)

    async def _catch_up(self, loop: str) -> None:
        """Take over what other gateways changed, and a lease of the loop that they renewed. Raises OSError, StateDamaged."""
        await self.follow()
        await asyncio.to_thread(self._journal.read_copy, loop)
        self._show(loop)

    def _taken(self, found: Found) -> None:
        for each in self._journal.take(found):
            if each.loop in self._states:
                _log(each.loop, each.action, each.by, f"{each.reason}; at another gateway", each.state)
                self._show(each.loop)
        for loop, why in self._journal.damaged.items():
            if self._states.pop(loop, None) is not None:
                log.error("%s is not served any more: %s", loop, why)
                self.damaged[loop] = why

    def _show(self, loop: str) -> None:
        """Put the loop's newest state in force, without what was taken from it and is not in the journal yet."""
        if self._states.get(loop) is None:
            return
        state = self._journal.state(loop)
        for move in self._owed.get(loop, ()):
            with suppress(NotPossible):
                state = move.change(state)
        self._states[loop] = state
        self.fleet.wake()

    @asynccontextmanager
    async def _up_everywhere(self, digest: str) -> AsyncIterator[str]:
        """A version's server answers at this gateway, under its base URL, and at every other that lives. Raises HostError."""
        began = time.monotonic()
        async with self.peers.asking(digest) if self.peers else nullcontext(), self.fleet.up(digest) as url:
            if self.peers and (missing := await self.peers.everywhere(digest, began + START_TIMEOUT - time.monotonic())):
                names = ", ".join(missing)
                raise HostError(f"version {digest[:12]}: its server does not answer at {names}: see the log there, or stop that gateway")
            yield url

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
        if any(each.loop == loop and each.state.production == digest for each in self._journal.backwards()):
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
        except StatementMissing as error:
            raise Refused(f"version {digest[:12]} has no release attestation for loop {loop}: materialize its release first") from error
        except OSError as error:
            raise Refused(f"the release of version {digest[:12]} cannot be read now ({error})") from error
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


def _log(loop: str, action: str, by: str, reason: str, state: EndpointState) -> None:
    log.info("%s: %s by %s (%s): %s", loop, action, by, reason, {version[:12]: weight for version, weight in state.weights.items()})
