"""The state of all loops as one plain object, for people and scripts."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast
from zoneinfo import ZoneInfo

from ftassets.assets._shared.shadow_pairs import shadow_evidence
from ftassets.backends.control.base import Control
from ftassets.backends.control.error_budget import BudgetDamaged, read_ledger
from ftassets.backends.control.health import read_notices
from ftassets.backends.control.latest import newest_reports
from ftassets.backends.control.pauses import pause_reason, pause_record
from ftassets.backends.control.releases import Releases, StatementMissing
from ftassets.backends.control.shadow import read_shadow
from ftassets.backends.control.waiting import read_waiting
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.signer.base import SignatureInvalid
from ftassets.backends.traffic_log.base import LogUnreachable
from ftassets.cli.commands import embedders
from ftassets.cli.commands.stuck import instance_of_home, stuck_runs_of_home
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loops_folder import loops_folder
from ftassets.config.profiles import artifacts, serving, traffic_log, verifier
from ftassets.config.profiles import control as control_of
from ftassets.domain.drift.comparison import DriftVerdict
from ftassets.domain.formats import NewerFormat
from ftassets.domain.gates.error_budget import YEAR, outlook, wanted_level
from ftassets.domain.gates.result import Verdict
from ftassets.domain.health.health import Health
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.pauses import PauseEntry
from ftassets.domain.release.statement import read_statement
from ftassets.domain.replicas import sentence
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.shadow_phase import UNSEEN, agreement, decide_shadow
from ftassets.domain.rollout.transition import Transition
from ftassets.domain.shadow import ShadowRetrain, in_words
from ftassets.domain.waiting import Waiting
from ftassets.errors import ConfigurationError, FtassetsError
from ftassets.exits import ending
from ftassets.wording import amount, span

SHOWN = 50  # moves of a loop
_WRONG = {DriftVerdict.ALARM.value, Verdict.FAIL.value}
_FLOORS = {"quality_report", "live_golden_report"}  # their limits are lower ones
_SAID = {
    "drift_report": "drift report",
    "behaviour_report": "behaviour report",
    "quality_report": "quality report",
    "live_golden_report": "live golden report",
    "since_evaluation": "live answers against the version's own evaluation",
}


def describe(home: Home) -> dict[str, Any]:
    """`{"gateway": "up" | what is wrong, "loops": {name: {phase, weights, ..., paused, ...}}, "broken_files": {file: problem}}`.

    `health` is what the asset of that name shows, made now: concerns with the next command, monitors, the newest decision, labels,
    feedback and traffic; `notices` are the concerns that people acknowledged or silenced.
    `waiting` is what a trigger of a retrain waits for, `shadow` are the retrains that auto would have started; `journal` are the newest
    moves of traffic, oldest first; `shadow_phase` are the pairs of a candidate in shadow; `approvals` and `overrides` are what people
    signed; `reports` is the newest report of each kind with its time, verdict and values. `notes` are sentences about what people signed,
    about a trigger that waits or what auto would have done,
    about reports that found something wrong, about releases that do not count, about runs that nothing executes any more, and about an
    embedder that lacks its key or whose vectors are being made again. `broken_files` are loop files that cannot be used; `held` are
    loops without a usable file that the gateway serves all the same, with what they serve. `unread` are loops of which something else
    cannot be read, with the reason.
    """
    from sqlalchemy.exc import SQLAlchemyError

    client, control = serving(home), control_of(home)
    releases = Releases(control, verifier(home))
    vectors = embedders.vectors_of(home)
    now = time.time()
    try:
        health = client.health()
        several = filter(None, [sentence(health.get("replicas", []))])
        gateway = "; ".join(["up" if health["status"] == "ok" else health["status"], *several, *not_ready(health)])
        answers = True
    except ServingError as error:
        gateway, answers = str(error), False
    loops = {}
    folder = loops_folder(home)
    configured = folder.loops
    if not configured:
        raise ConfigurationError(folder.broken[0].problem)
    try:
        stuck = stuck_runs_of_home(home, configured)
    except SQLAlchemyError:  # its health says so
        stuck = {}
    unhealthy, seen = loops_health(home, configured, now)
    unread_loops: dict[str, str] = {}

    def served(name: str) -> tuple[EndpointState, list[Transition], list[str] | None]:
        """State and moves of a loop; and why they are not known."""
        if not answers:
            return EndpointState(), [], []
        try:
            return client.state(name), _moves(client, name), None
        except ServingError as error:  # a loop that was written after the gateway started
            return EndpointState(), [], [f"the gateway does not serve it ({error}): start `ftassets up` again, which reads the loops"]

    def one(name: str, loop: LoopConfig) -> dict[str, Any]:
        state, moves, why = served(name)
        unknown, notes = why is not None, why or []
        reports, unread = _reports(control, name)
        budget, about_budget = _budget(home, control, loop, now)
        waiting, about_waiting = _waiting(control, loop)
        shadow, about_shadow = _shadow(control, loop, now)
        copies, about_copies = _copies(home, loop, state, now)
        approvals, overrides = list(releases.approvals(name)), list(releases.overrides(name))
        return {
            "phase": "unknown" if unknown else state.phase,
            "weights": state.weights,
            "production": state.production,
            "candidate": state.candidate,
            "standby": state.standby,
            "mode": loop.mode,
            "timezone": loop.timezone,
            "paused": pause_reason(control, name),
            "health": seen[name].model_dump() if name in seen else None,
            "notices": _notices(control, name),
            "waiting": waiting.model_dump() if waiting else None,
            "shadow": [each.model_dump() for each in shadow],
            "shadow_phase": copies,
            "error_budget": budget,
            "approvals": [approval.model_dump() for approval in approvals],
            "overrides": [{**each.model_dump(), "expired": now >= each.expires_at} for each in overrides],
            "reports": {kind: report.model_dump() for kind, report in reports.items()},
            "notes": [
                *notes,
                *unread,
                *about_budget,
                *about_waiting,
                *about_shadow,
                *about_copies,
                *_held_back(state),
                *findings(reports),
                *(f"version {each.version[:12]}: {each.sentence}" for each in approvals),
                *(f"version {e.version[:12]}: {e.sentence}{' (expired)' if now >= e.expires_at else ''}" for e in overrides),
                *warnings(releases, name, state, now),
                *stuck.get(name, ()),
                *([unhealthy[name]] if name in unhealthy else []),
                *embedders.notes(loop, vectors),
            ],
            "journal": _journal(moves, pause_record(control, name)),
        }

    for name, loop in configured.items():
        try:
            loops[name] = one(name, loop)
        except (FtassetsError, OSError, ValueError) as error:  # what is damaged of one loop hides no other
            unread_loops[name] = ending(error).sentence
    broken_files = {str(file.path): file.problem for file in folder.broken}
    held = {name: _served(client, name) for name in sorted(health["loops"].keys() - configured.keys())} if answers else {}
    return {"gateway": gateway, "loops": loops, "broken_files": broken_files, "held": held, "unread": unread_loops}


def _served(client: Serving, loop: str) -> dict[str, Any]:
    """What the gateway serves of a loop; its state is not known where it cannot be read."""
    try:
        state = client.state(loop)
    except ServingError as error:
        return {"phase": "unknown", "weights": {}, "standby": None, "why": str(error)}
    return {"phase": state.phase, "weights": state.weights, "standby": state.standby, "why": None}


def loops_health(home: Home, loops: Mapping[str, LoopConfig], now: float) -> tuple[dict[str, str], dict[str, Health]]:
    """The health of each loop; and by loop why it cannot be read, or not what Dagster knows of it."""
    from sqlalchemy.exc import SQLAlchemyError

    from ftassets.assets.health.observe import Stores, all_states, observe

    seen: dict[str, Health] = {}
    unread: dict[str, str] = {}

    def look(instance: Any, states: Any) -> None:
        for name, loop in loops.items():
            try:
                stores = Stores(control_of(home), traffic_log(home), serving(home), verifier(home), instance, states)
                seen[name] = observe(loop, stores, now)
            except (OSError, FtassetsError) as error:
                unread[name] = f"its health cannot be read ({error})"

    try:
        with instance_of_home(home) as instance:
            look(instance, () if instance is None else all_states(instance))
    except SQLAlchemyError as error:
        unread |= dict.fromkeys(loops, f"releases, sensors and runs are not known: {ending(error).sentence}")
        look(None, ())
    return unread, seen


def _notices(control: Control, loop: str) -> dict[str, str]:
    """Who acknowledged or silenced concerns and why, as a sentence by concern."""
    try:
        known = read_notices(control, loop)
    except (OSError, NewerFormat) as error:
        return {"notices": f"cannot be read ({error})"}
    said = {
        key: f"acknowledged by {each.acknowledged.by}: {each.acknowledged.reason}" for key, each in known.open.items() if each.acknowledged
    }
    until = {each.key: datetime.fromtimestamp(each.until, UTC) for each in known.silences}
    return said | {
        each.key: f"silenced until {until[each.key]:%F %H:%M} UTC by {each.said.by}: {each.said.reason}" for each in known.silences
    }


def _journal(moves: list[Transition], pauses: list[PauseEntry]) -> list[dict[str, Any]]:
    """Moves of traffic, and pauses and their ends since the first of them, oldest first; `weights` is None for a pause."""
    first = moves[-1].at if len(moves) == SHOWN else 0.0
    entries = [{"at": t.at, "action": t.action, "by": t.by, "weights": t.state.weights, "reason": t.reason} for t in moves]
    held = [{"at": p.at, "action": p.action, "by": p.by, "weights": None, "reason": p.reason} for p in pauses[-SHOWN:] if p.at >= first]
    return sorted(entries[::-1] + held, key=lambda entry: cast(float, entry["at"]))


def lines_of(health: Mapping[str, Any], notices: Mapping[str, str], timezone: str) -> Iterator[tuple[str, bool]]:
    """What `status` prints of a loop's health, and whether it is something that a person should know."""

    def when(at: float) -> str:
        return f"{datetime.fromtimestamp(at, ZoneInfo(timezone)):%F %H:%M}"

    now, shown = health["at"], set[str]()
    for each in health["concerns"]:
        key = ":".join(filter(None, (each["subject"], each["detail"])))
        said = notices.get(key) or notices.get(each["subject"])
        shown |= {key, each["subject"]}
        yield f"{each['severity']} {key}: {each['text']}{f' ({said})' if said else ''}", True
        if each["command"] and each["command"] not in each["text"]:
            yield f"  next: {each['command']}", True
    yield from ((f"{key}, not there now: {said}", False) for key, said in sorted(notices.items()) if key not in shown)
    for each in health["monitors"]:
        verdict = "no report yet" if each["at"] is None else f"{each['verdict']} {span(now - each['at'])} ago"
        if each["version"] not in (None, health["production"]):
            verdict += f" about {each['version'][:12]}"
        blind = f", without data since {when(each['unmeasured_since'])}" if each["unmeasured_since"] else ""
        due = f", next {when(each['next_at'])}" if each["next_at"] else ""
        yield f"{_SAID.get(each['name'], each['name'])}: {verdict}{blind}{due}", False
        if each["note"] and each["version"] == health["production"]:
            yield f"  {each['note']}", False
    if trigger := health["trigger"]:
        yield f"last decision, {span(now - trigger['at'])} ago: {trigger['action']}: {trigger['reason']}", False
        rate = "" if trigger["labels_per_day"] is None else f", {trigger['labels_per_day']:.1f} corrections a day"
        done, most = trigger["retrains_in_quarter"], trigger["max_retrains"]
        retrains = amount(done, "retrain") if most is None else f"{done} of {amount(most, 'retrain')}"
        due = f", next by schedule {when(trigger['schedule_due_at'])}" if trigger["schedule_due_at"] else ""
        yield f"{amount(trigger['new_labels'], 'new label')}{rate}; {retrains} in 91 days{due}", False
    if feedback := health["feedback"]:
        yield f"{feedback['requests_per_day']:.1f} requests and {feedback['feedback_per_day']:.1f} answers with feedback a day", False
    if (last := health["traffic"]["last_at"]) is not None:
        yield f"newest request {span(now - last)} ago", False
    if off := health["automation"]["switched_off"]:
        yield f"switched off: {', '.join(off)}", False


def not_ready(health: Mapping[str, Any]) -> list[str]:
    """What the gateway says it cannot do, from its own health."""
    parts = [health["traffic_log"], health.get("control", {"ready": True})]
    return [part["why"] for part in parts if not part["ready"]] + [
        f"{digest[:12]} of {entry['loop']}: {entry['why']}" for digest, entry in health["versions"].items() if not entry["ready"]
    ]


def _reports(control: Control, loop: str) -> tuple[dict[str, LatestReport], list[str]]:
    """The newest report of each kind, and why they cannot be read."""
    try:
        return newest_reports(control, loop), []
    except OSError as error:
        return {}, [f"its newest reports cannot be read ({error})"]


def _held_back(state: EndpointState) -> list[str]:
    """Who stays on the version before, and where to read what the promotion gained."""
    held = state.held_back
    if held is None or state.standby is None:
        return []
    until = datetime.fromtimestamp(held.until, UTC).isoformat(timespec="minutes")
    who = f"{held.weight} % of users stay on the version before, {state.standby[:12]}, until {until}"
    return [f"{who}: what the promotion gained is in the newest quality_report, as hold_back"]


def _shadow(control: Control, loop: LoopConfig, now: float) -> tuple[list[ShadowRetrain], list[str]]:
    """What auto would have done, of a loop in mode observe; and a sentence about it, or why it cannot be read."""
    if loop.mode != "observe":
        return [], []
    try:
        ledger = read_shadow(control, loop.name)
    except (OSError, ValueError) as error:
        return [], [f"what auto would have done cannot be read ({error})"]
    return ledger, [*filter(None, [in_words(ledger, now)])]


def _copies(home: Home, loop: LoopConfig, state: EndpointState, now: float) -> tuple[dict[str, Any] | None, list[str]]:
    """The pairs of a candidate in shadow and what the next tick decides, None without one; and a sentence about it."""
    if not state.in_shadow:
        return None, []
    try:
        decision = decide_shadow(state, shadow_evidence(traffic_log(home), loop, state), loop.rollout, now)
    except LogUnreachable as error:
        return None, [f"what its candidate answers in shadow cannot be read ({error})"]
    said = f"{decision.move}: {decision.reason}; {agreement(decision.counts)}. {UNSEEN}"
    return {**asdict(decision), "agreement": agreement(decision.counts)}, [f"in shadow for {span(now - state.since)}: {said}"]


def _waiting(control: Control, loop: LoopConfig) -> tuple[Waiting | None, list[str]]:
    """What the loop's trigger waits for; and a sentence about it, or why it cannot be read."""
    try:
        found = read_waiting(control, loop.name)
    except (OSError, NewerFormat) as error:
        return None, [f"what its trigger waits for cannot be read ({error})"]
    if found is None:
        return None, []
    since = datetime.fromtimestamp(found.since, ZoneInfo(loop.timezone))
    return found, [f"the {found.trigger} trigger has waited since {since:%F %H:%M}: {found.reason}"]


def _budget(home: Home, control: Control, loop: LoopConfig, now: float) -> tuple[dict[str, Any] | None, list[str]]:
    """The loop's error budget before the next decision, None without one; and why it cannot be read, or who began it anew this year."""
    per_year = loop.release.bad_promotions_a_year
    if per_year is None:
        return None, []
    try:
        ledger = read_ledger(artifacts(home), control, loop.name)
    except (BudgetDamaged, OSError) as error:
        return None, [f"its error budget is unknown, and no report can be made: {error}"]
    found = outlook(ledger, per_year, wanted_level(loop.gates), now)
    anew = [
        f"{start.by} began its error budget anew on {datetime.fromtimestamp(start.at, UTC):%F}: {start.reason}"
        for start in ledger.starts
        if start.at > now - YEAR
    ]
    return {**asdict(found), "full_in": found.full_in, "sentence": found.sentence}, anew


def findings(reports: Mapping[str, LatestReport]) -> Iterator[str]:
    """One sentence for each report that found something wrong, with the values that are beyond their limits."""
    for kind, report in sorted(reports.items()):
        if report.verdict not in _WRONG:
            continue
        sign = -1 if kind in _FLOORS else 1
        beyond = [
            f"{name} {report.values[name]:.3f} is {'above' if sign > 0 else 'below'} {limit:.3f}"
            for name, limit in report.limits.items()
            if name in report.values and (report.values[name] - limit) * sign > 0
        ]
        when = datetime.fromtimestamp(report.at).strftime("%F %T")
        about = f" of version {report.version[:12]}" if report.version else ""
        yield f"{_SAID.get(kind, kind)}{about}, {when}: {report.verdict}{': ' if beyond else ''}{'; '.join(beyond)}"


def _moves(client: Serving, loop: str) -> list[Transition]:
    """The newest moves of a loop's traffic, newest first."""
    return list(islice((entry for entry in client.recent(loop) if entry.moves_traffic), SHOWN))


def warnings(releases: Releases, loop: str, state: EndpointState, now: float) -> Iterator[str]:
    """What is wrong with the releases of the versions that run, and what that means for them."""
    for role, version in (("production", state.production), ("candidate", state.candidate), ("standby", state.standby)):
        if version is None:
            continue
        try:
            signed = releases.read(loop, version)
            expires = read_statement(signed.payload)[2].get("expires_at", now)
        except (StatementMissing, OSError, SignatureInvalid, ValueError) as error:
            yield f"{role} {version[:12]} has no sound release ({error}): it does not survive a restart of the gateway"
            continue
        if signed.revoked is not None:
            goes_on = "it serves until something else is released" if role == "production" else "it gets no more traffic"
            yield f"{role} {version[:12]} is signed by key {signed.key_id[:12]}, which was REVOKED ({signed.revoked}): {goes_on}"
        elif role == "candidate" and now >= expires:
            yield f"candidate {version[:12]}: its release has expired: it cannot receive more traffic"
