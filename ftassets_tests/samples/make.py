"""`python -m ftassets_tests.samples.make FOLDER`: writes samples of every stored format with the code of this release.

`home/` is the state of a machine whose loop `support` has a version in production, made without a model: its weights are a line of text.
`tiny/` has what a whole run of the tiny loop leaves behind, which takes a minute.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from ftassets.assets._shared.dataset_files import rated_to_parquet
from ftassets.assets._shared.stored_reports import keep_decision, policy_digest, verdicts
from ftassets.assets.drift_report.asset import WINDOW_END
from ftassets.assets.eval_report.llm_judge import ask_judge
from ftassets.assets.release import _predicate
from ftassets.backends.artifacts.external import publish_endpoint
from ftassets.backends.artifacts.packs import pack_key, store_pack
from ftassets.backends.artifacts.reports import read_eval_report, store_eval_report, store_report
from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.artifacts.versions import load_manifest, publish
from ftassets.backends.control.audit import Head
from ftassets.backends.control.clients import change_clients
from ftassets.backends.control.error_budget import within_budget
from ftassets.backends.control.health import update_notices, write_decision, write_health
from ftassets.backends.control.kept_loops import KeptFile
from ftassets.backends.control.latest import record_latest
from ftassets.backends.control.pauses import pause, resume
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.reviews import add_review
from ftassets.backends.control.rollout_looks import record_look
from ftassets.backends.control.shadow import add_shadow
from ftassets.backends.control.usage import close, write_at_work
from ftassets.backends.control.waiting import write_waiting
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.notifier.routing import RoutingNotifier
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.day_files import Moved, to_parquet
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands.release import approve, override
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, control
from ftassets.domain import retrain
from ftassets.domain.canonical import canonical_json
from ftassets.domain.chat import question
from ftassets.domain.clients import new_key
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.human_review import Given
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.alignment import Alignment, Measured
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.health.health import Answers, Automation, Concern, Daemon, Health, Monitor, NewestRelease, Tick, Traffic, Trigger
from ftassets.domain.health.health import Feedback as FeedbackRate
from ftassets.domain.health.notices import Said
from ftassets.domain.last_decision import last_decision
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.release.attestation import statement
from ftassets.domain.release.bills import Package
from ftassets.domain.release.pack import pack_files, pack_statement
from ftassets.domain.release.version import ExternalModel, VersionManifest
from ftassets.domain.rollout.canary import CanaryAnswers, CanaryEvidence, Counts, decide
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import Failure
from ftassets.domain.rollout.look import rollout_look
from ftassets.domain.shadow import ShadowRetrain
from ftassets.domain.spending.served import Served, ServedMinute
from ftassets.domain.spending.usage import Usage, UsageEntry
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.domain.traffic.lapses import LapseCounts
from ftassets.domain.traffic.retention import DAY
from ftassets.domain.traffic.shadow_answer import ShadowAnswer
from ftassets.domain.training.recipe import recipe
from ftassets.domain.waiting import Waiting
from ftassets.testing.doubles.http import receiver
from ftassets.testing.doubles.llm_judge import pairwise_double
from ftassets.testing.made_once import VARIABLE
from ftassets.testing.postgres_server import PostgresServer, binaries
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread

LOOP = "support"
HERE = Path(__file__).parent
FIFTH = 20.0  # the weight of the canary
NAMES = {"judge": "llm_judge"}  # what format 1 called otherwise: metric, section


def support(folder: Path, judge: str = "http://127.0.0.1:9/v1") -> LoopConfig:
    """The loop of the sample home, with its files below `folder`."""
    return LoopConfig.model_validate(
        {
            "name": LOOP,
            "mode": "propose",
            "base_model": "tiny",
            "task": {"system_prompt": "Answer with the tool call."},
            "dataset": {"seed": folder / "seed.jsonl"},
            "golden_set": folder / "golden.jsonl",
            "gates": [
                {"metric": "exact_match", "better_than": "production"},
                {"metric": NAMES["judge"], "better_than": "production", "sample": 10},
            ],
            NAMES["judge"]: {"url": judge, "model": "large", "labels": folder / "labels.jsonl"},
            "release": {"people": {"anna": "ml-lead"}, "approve": ["ml-lead"], "override": ["ml-lead"]},
        }
    )


def rows(right: int) -> list[Score]:
    """Twelve golden rows, of which so many are right."""
    return [Score(id=f"g{n}", slice="golden", exact=n < right, fields=1.0 if n < right else 0.5, valid=True) for n in range(12)]


def version(home: Home, loop: LoopConfig, name: str, base: str, start_from: str | None) -> str:
    """A published version as training leaves one; its weights are a text."""
    staging = home.root / f"staging-{name}"
    for part in ("merged", "adapter"):
        (staging / part).mkdir(parents=True)
        (staging / part / "model.safetensors").write_text(f"{name} {part}")
    manifest = VersionManifest(
        kind="adapter",
        base_model=loop.base_model,
        base_digest=base,
        files=file_digests(staging),
        tokenizer_digest="0" * 64,
        generation={"temperature": loop.task.temperature, "max_tokens": loop.task.max_tokens},
        dataset_commit="c" * 40,
        dataset_hash="d" * 64,
        loop=loop.name,
        lineage="starts from the untuned base",
        code_commit="e" * 40,
        made_at=1_700_000_000.0,
        recipe=recipe(loop.task, loop.train, start_from),
        metrics={"validation_loss": 0.5},
    )
    return publish(artifacts(home), staging, manifest)


def report(home: Home, loop: LoopConfig, base: str, production: str, candidate: str, first: bool) -> str:
    """The digest of a stored eval report whose answers an LLM judge compared."""
    golden = [Example(id=f"g{n}", messages=question(f"question {n}"), completion="good") for n in range(12)]
    mine, theirs = ({row.id: f"{word} {row.id}" for row in golden} for word in ("good", "bad"))
    with pairwise_double(lambda _, a, b: "tie" if a[:3] == b[:3] else "first" if a.startswith("good") else "second") as there:
        scores, calibration = ask_judge(control(home), support(loop.golden_set.parent, there.url), golden, mine, theirs, print)
    scores = [each.model_copy(update={"people": 1}) for each in scores]  # people labelled these answers, without which no judge decides
    made = EvalReport(
        loop=loop.name, run_id="run-1", candidate=candidate, production=production, production_is_base=first, base=base,
        dataset_commit="c" * 40, golden_commit="d" * 40, policy_digest=policy_digest(loop),
        generation=load_manifest(artifacts(home), candidate).generation,
        scores={"base": rows(4), "production": rows(4), "candidate": rows(5 if first else 12)},  # 5 are not enough data
        latency_ms={}, answers={}, pairwise_scores=scores, llm_judge_calibration=calibration,
    )  # fmt: skip
    return store_eval_report(artifacts(home), within_budget(artifacts(home), control(home), loop, made, 1_700_000_000.0))


def released(home: Home, loop: LoopConfig, digest: str, report_digest: str, content: EvalReport) -> None:
    """Override what does not pass, sign the release as the asset does, and approve it."""
    signer = FolderSigner(home.keys)
    results = verdicts(control(home), loop, content, report_digest)
    keep_decision(artifacts(home), loop, content, report_digest, None, results, 1_700_000_000.0)
    forgiven = None
    if any(result.verdict.value != "PASS" for result in results):
        forgiven = override(artifacts(home), control(home), signer, loop, digest, [], "anna", "the judge is new", 3600)
    manifest = load_manifest(artifacts(home), digest)
    predicate = _predicate(loop, content, report_digest, manifest, results, None, forgiven, time.time(), Head(0, "0" * 64))
    releases, payload = Releases(control(home), signer), statement(loop.name, digest, manifest.files, predicate)
    releases.write(loop.name, digest, "release", payload)
    packages = [Package("pydantic", "2.14.0", "MIT", "", ("typing-extensions",)), Package("typing-extensions", "4.16.0", "", "PSF", ())]
    files = pack_files(loop, manifest, content, payload, releases.envelope(loop.name, digest), b"{}", packages, "3.11.0", None)
    manifest_of_pack = signer.sign(pack_statement(loop.name, digest, payload, files))
    store_pack(artifacts(home), pack_key(loop.name, payload), files, manifest_of_pack)
    approve(artifacts(home), control(home), signer, loop, digest, "anna", "looks right")


class Quiet(Notifier):
    def notify(self, alert: Alert) -> bool:
        return True


def make_home(folder: Path) -> None:
    """Everything but reports of live traffic and datasets."""
    loop_folder = folder / "loop"
    shutil.copytree(HERE / "loop", loop_folder)
    home, loop = Home(folder / "home"), support(loop_folder)
    base = version(home, loop, "base", "b" * 64, None)
    first = version(home, loop, "first", base, None)
    second = version(home, loop, "second", base, first)
    publish_endpoint(ExternalModel(url="https://api.example.com/v1", model="modèle", api_key_env="KEY"), loop, artifacts(home), home.root)
    digests = [report(home, loop, base, base, first, True), report(home, loop, base, first, second, False)]
    add_review(control(home), LOOP, digests[0], "run-1", Given(by="anna", at=1_700_000_000.0, verdicts={"g0": True, "g1": False}))
    for digest, report_digest in zip((first, second), digests, strict=True):
        content = read_eval_report(artifacts(home), LOOP, report_digest)
        released(home, loop, digest, report_digest, content)
    host = ThreadHost(stub_engine())
    with run_gateway_in_thread(home, {LOOP: loop}, host) as (serving, url):
        serving.start(LOOP, first, 100, 60.0, "cli", "first version")
        ids = [ask(url, f"question {n}", n) for n in range(3)]
        said = {"id": ids[0], "rating": "up", "comment": "opens the wrong door"}
        requests.post(f"{url}/v1/feedback", json=said, timeout=10).raise_for_status()
        requests.post(f"{url}/v1/feedback", json={"id": ids[1], "correction": '{"intent": "open"}'}, timeout=10).raise_for_status()
        serving.stage(LOOP, second, 60.0)
        serving.start(LOOP, second, 20, 60.0, "run:1", "canary")
        ask(url, "question in a canary", 3)
        serving.rollback(LOOP, "cli", "drill")
        serving.start(LOOP, second, 20, 60.0, "run:2", "canary once more")
        serving.ramp(LOOP, 100, 60.0, "run:3", "promoted")
        shutil.copy(home.gateway / "address.json", home.root / "address.kept")
    host.close()
    shutil.move(home.root / "address.kept", home.gateway / "address.json")
    signer = FolderSigner(home.keys)
    signer.rotate()
    other = signer.key_id
    signer.rotate()
    signer.revoke(other, "the laptop was lost")
    latest = LatestReport(at=1_700_000_000.0, version=second, verdict="PASS", values={"share": 0.9}, limits={"share": 0.85})
    record_latest(control(home), LOOP, "live_golden_report", latest)
    alert = Alert(LOOP, "title", "text", "ticket", None, f"{LOOP}:quality-drop")
    with receiver() as there:
        there.replies = [(200, {})]
        notify = loop.notify.model_copy(update={"alertmanager": there.url})
        RoutingNotifier(control(home), notify, Quiet(), clock=lambda: 1_700_000_000.0).notify(alert)
    situation = retrain.Situation(
        now=1_700_000_000.0, alarms=2, novelty_share=0.2, new_labels=300, schedule_due_at=None, quality=0.8, quality_baseline=0.9,
        last_retrain_at=None, retrains_in_quarter=0, died=0, retrain_running=False, rollout_running=False, paused=None,
        seconds_per_row=0.1, expected_rows=480, untried_labels=280, labels_per_day=12.5, labels_expire=2_592_000.0,
        unusable_labels="exact 3", failed=1, failed_at=1_699_990_000.0, over_budget=None,
    )  # fmt: skip
    store_report(artifacts(home), LOOP, "decision", json.loads(retrain.record(situation, loop)))
    store_report(artifacts(home), LOOP, "alignment", alignment().document())
    add_shadow(
        control(home),
        LOOP,
        ShadowRetrain(at=1_700_000_000.0, trigger="drift", reason="2 drift alarms in a row", new_labels=300, labels_commit="c" * 40),
    )
    waiting = Waiting(
        trigger="drift", cause="few_labels", reason="5 of 200", since=1_699_700_000.0, seen=1_700_000_000.0, told=True, tried_at=None
    )
    write_waiting(control(home), LOOP, waiting)
    state = EndpointState(production="ab" * 32).start("cd" * 32, 20, 60.0, 1_699_999_000.0)
    failures = [Failure(True, 20.0, f"user {number}") for number in range(40)]
    seen = CanaryEvidence(
        [CanaryAnswers(True, 20.0, True, 40)], {"errors": failures}, counts={"errors": Counts(LapseCounts(40, 40, 40, 40, 40, 40, 1))}
    )
    back = decide(state, seen, loop.rollout, 1_700_000_000.0)
    record_look(control(home), LOOP, rollout_look(state, seen, loop.rollout, 1_700_000_000.0, back))
    file = max(HERE.glob("v*/loop/**/defs.yaml"))  # as the newest release so far has it
    kept = KeptFile(path=Path("/srv/loops/support/defs.yaml"), text=file.read_text())
    control(home).write(f"kept_loops/{LOOP}.json", canonical_json(kept.document()))
    key = new_key("web", "fta_sample", 1_764_400_000.0, [LOOP], 60.0, 6000.0).model_copy(update={"ends_at": 1_764_500_000.0})
    change_clients(control(home), lambda keys: keys.added(key, 1_764_400_000.0))
    used = UsageEntry(
        id="run-1.adapter.0", loop=LOOP, run_id="run-1", node="adapter", for_release=True, at=1_764_400_000.0, until=1_764_400_600.0,
        ended="done", made="ab" * 32, usage=Usage(cpu_seconds=900.5, wall_seconds=600.0, tokens_trained=120_000),
    )  # fmt: skip
    close(control(home), used)
    write_at_work(control(home), used.model_copy(update={"id": "run-1.eval_report.1", "node": "eval_report", "ended": None, "made": None}))
    minute = ServedMinute("ab" * 32, 29_406_666, answers=3, failed=1, uncounted=0, tokens_in=60, tokens_out=30, engine_ms=4500.0)
    served = Served().with_minutes([minute], 1_764_400_200.0)
    control(home).write(f"usage/{LOOP}/served.json", canonical_json(served.document()))
    health_of(home, situation, "e" * 64)
    log = SqliteTrafficLog(home.traffic_db)
    log.append_shadow([shadow_answer(log.exchanges(LOOP)[-1])])
    dump(home.traffic_db, home.root / "traffic.sql")
    tidy(home.root)


def health_of(home: Home, situation: retrain.Situation, production: str) -> None:
    """What the sensors find out about a loop, what people were told of it and said, and a pause."""
    at = situation.now
    pause(control(home), LOOP, "audit", "anna", at)
    resume(control(home), LOOP, "audit is done", "anna", at + 60)
    pause(control(home), LOOP, "freeze", "anna", at + 120)
    decision = retrain.RetrainDecision(retrain.Action.WAIT, retrain.Trigger.DRIFT, retrain.Cause.FEW_LABELS, "5 of 200")
    write_decision(control(home), LOOP, last_decision(decision, situation))
    stopped = Concern(subject="traffic-stopped", severity="ticket", text="no request for 3.0 d", since=at)
    health = Health(
        at=at, mode="propose", gateway="not reachable", unrecorded="disk full", production=production, since=at,
        answers=Answers(silent="starting"), candidate="f" * 64, weight=20, paused="freeze", paused_since=at + 120,
        monitors=(
            Monitor(
                name="drift_report", at=at, verdict="ALARM", version=production, wrong=True, as_released=False, unmeasured_since=at,
                every=86400.0, next_at=at,
            ),
        ),
        release=NewestRelease(version="f" * 64, at=at, cause="approval", reason="it waits", command="ftassets approve support"),
        trigger=Trigger(
            at=at, action="WAIT", trigger="drift", cause="few_labels", reason="5 of 200", new_labels=5, labels_per_day=0.5,
            retrains_in_quarter=1, max_retrains=4, schedule_due_at=at, since=at,
        ),
        traffic=Traffic(last_at=at, pauses={19675: 600.0}),
        feedback=FeedbackRate(at=at, requests_per_day=100.0, feedback_per_day=4.0, corrections_per_day=1.0),
        automation=Automation(
            daemons=(Daemon(name="SENSOR", at=at, error="ValueError"),), ticks=(Tick(name=f"{LOOP}__retrain", at=at, error="ValueError"),),
            switched_off=(f"{LOOP}__rollout",),
        ),
        concerns=(stopped,),
    )  # fmt: skip
    write_health(control(home), LOOP, health)
    said = Said(by="anna", at=at, reason="holidays")
    update_notices(
        control(home),
        LOOP,
        lambda known: known.seeing([stopped], at).acknowledge("traffic-stopped", said).silence("drift-alarm", at + 60, said),
    )


def ask(url: str, text: str, user: int) -> str:
    """The id of an answer."""
    body = {"model": LOOP, "messages": [{"role": "user", "content": text}], "user": f"user {user}"}
    answer = requests.post(f"{url}/v1/chat/completions", json=body, timeout=10)
    answer.raise_for_status()
    return answer.json()["id"]


def make_tiny(folder: Path) -> None:
    """Reports, dataset store and answers of a whole run of the tiny loop with a judge of live answers."""
    from ftassets.testing.tiny_loop import LOOP as TINY
    from ftassets.testing.tiny_loop import tiny_loop

    work = folder / "work"
    work.mkdir(parents=True)
    short = {"id": "", "messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]}
    lines = []
    for number in range(12):
        line: dict[str, Any] = json.loads(json.dumps(short))
        line["id"], line["slice"] = f"now-{number}", "established"
        line["messages"][0]["content"] = f"dim lamp number {number} now"
        line["messages"][1]["content"] = json.dumps({"intent": "dim", "area": f"room {number}"})
        lines.append(json.dumps(line))
    (folder / "golden.jsonl").write_text("\n".join(lines) + "\n")
    good = [(200, {"choices": [{"message": {"content": '{"score": 5, "reason": ""}'}}]})] * 20
    with receiver() as there:
        there.replies = list(good)
        monitors = {"sample": 20, NAMES["judge"]: {"url": there.url, "model": "large"}}
        gates = [{"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.9}]
        with tiny_loop(work, monitors=monitors, metrics=["validity"], golden_set=str(folder / "golden.jsonl"), gates=gates) as tiny:
            assert tiny.run("retrain").success
            assert tiny.move("start").success
            for number in range(24):
                body: Any = {"model": TINY, "messages": [{"role": "user", "content": f"dim the lamp {number} kindly"}], "user": str(number)}
                answer = requests.post(f"{tiny.url}/v1/chat/completions", json=body, timeout=60)
                rating = {"rating": "up"} if number % 2 else {"correction": json.dumps({"intent": "dim", "area": f"room {number}"})}
                requests.post(f"{tiny.url}/v1/feedback", json={"id": answer.json()["id"], **rating}, timeout=10).raise_for_status()
            assert tiny.run("watch").success
            assert tiny.materialize("behaviour_report", "live_golden_report").success
            now_window = tiny.loop
            tiny.loop = with_window(tiny.loop, 7 * DAY)
            assert tiny.materialize("quality_report", tags={WINDOW_END: f"{time.time() + 4 * DAY}"}).success  # feedback has had its time
            tiny.loop = now_window
            assert tiny.materialize("curated_dataset", "preference_pairs").success
            shutil.copytree(tiny.home.reports, folder / "reports", ignore=shutil.ignore_patterns("*.lock"))
            shutil.copytree(tiny.home.answers, folder / "answers")
            for stored in (tiny.home.datasets, tiny.home.vectors):
                with tarfile.open(folder / f"{stored.name}.tar.gz", "w:gz") as archive:
                    archive.add(stored, stored.name)
            shutil.copytree(tiny.home.versions, folder / "versions", ignore=shutil.ignore_patterns("merged", "adapter"))
    shutil.rmtree(work)
    (folder / "golden.jsonl").unlink()


def with_window(loop: LoopConfig, seconds: float) -> LoopConfig:
    """The loop with reports on so long a window."""
    drift = loop.retrain_on.drift.model_copy(update={"window": seconds})
    return loop.model_copy(update={"retrain_on": loop.retrain_on.model_copy(update={"drift": drift})})


def make_postgres(file: Path) -> None:
    """The tables of the traffic log in PostgreSQL as SQL, with three exchanges, feedback on two and one that was forgotten."""
    with PostgresServer() as server:
        url = server.account()
        log, role = PostgresTrafficLog(url), url.split("/")[2].split(":")[0]
        log.append([exchange(number) for number in range(4)])
        log.add_feedback(Feedback("voice-0", 1_700_000_100.0, "up", None, "opens the wrong door", "late, rude"))
        log.add_feedback(Feedback("voice-1", 1_700_000_100.0, None, '{"intent": "open"}'))
        log.forget(request_ids=["voice-3"])
        log.append_shadow([shadow_answer(exchange(2))])
        command = [binaries() / "pg_dump", "--inserts", "--no-owner", "--schema", role, server.url(role).partition("?")[0]]  # type: ignore[operator]
        dumped = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    skipped = ("\\", "SET ", "SELECT pg_catalog.set_config", "--", "CREATE SCHEMA")
    lines = [line.replace(f"{role}.", "") for line in dumped.splitlines() if line and not line.startswith(skipped)]
    file.write_text("\n".join(lines) + "\n")


def make_day(file: Path) -> None:
    """A file of requests that left the log: one with feedback, one without."""
    said = [
        Feedback("voice-0", 1_700_000_100.0, "down", None, "opens the wrong door", "late, rude"),
        Feedback("voice-0", 1_700_000_101.0, None, '{"intent": "open"}'),
    ]
    file.write_bytes(to_parquet([Moved(exchange(0), said), Moved(exchange(1), ())]))


def alignment() -> Alignment:
    """What a training on thumbs brought, on two validation rows and three rated answers."""
    scores = [Measured(unit=f"row-{number}", tuned=1.0, aligned=float(number)) for number in range(2)]
    rated = [Measured(unit=f"{number}" * 16, tuned=-4.5, aligned=-4.0 - number, up=number < 1) for number in range(3)]
    return Alignment(
        loop=LOOP, run_id="run-1", method="kto", tuned="a" * 64, aligned="b" * 64, dataset_commit="d" * 40, preferences_commit="e" * 40,
        metric="exact_match", scores=scores, preferences=rated,
    )  # fmt: skip


def make_rated(file: Path) -> None:
    """Two rated answers: one rated up, one that was corrected."""
    known: dict[str, Any] = {"user": "u", "at": 1_700_000_000.0, "version": "f" * 64, "weight": FIFTH}
    up = Rated(messages=question("question 0"), answer="answer", rating="up", source="thumbs", request_id="voice-0", **known)
    down = Rated(messages=question("question 1"), answer="answer", rating="down", source="correction", request_id="voice-1", **known)
    file.write_bytes(rated_to_parquet([up, down]))


def exchange(number: int) -> Exchange:
    """One of the loop `voice`, answered by a canary with a fifth of the traffic."""
    messages = json.dumps([{"role": "user", "content": f"question {number}"}])
    at = 1_700_000_000.0 + number
    return Exchange(f"voice-{number}", "voice", "f" * 64, "u", f"question {number}", messages, "answer", 200, at, 5.0, 1.0, 3, 3, FIFTH)


def shadow_answer(of: Exchange) -> ShadowAnswer:
    """What another version answered in shadow to the copy of a request."""
    return ShadowAnswer(
        of.id, of.loop, "c" * 64, of.version, of.user, of.at, 200, 6.0, 1.5, 3, 4, True, False, of.status, of.latency_ms, of.first_token_ms,
        of.tokens_out, None, False, False, '{"intent": "open"}', None,
    )  # fmt: skip


def dump(database: Path, file: Path) -> None:
    """A SQLite file as SQL."""
    with sqlite3.connect(database) as connection:
        number = connection.execute("PRAGMA user_version").fetchone()[0]
        file.write_text("\n".join([*connection.iterdump(), f"PRAGMA user_version = {number};"]) + "\n")


def tidy(root: Path) -> None:
    """Remove locks, secrets, and what is not stored text."""
    keep = {".json", ".jsonl", ".md", ".pem", ".sql", ".safetensors"}
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_file() and (path.suffix not in keep or (path.suffix == ".pem" and not path.name.endswith(".pub.pem"))):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0])
    with tempfile.TemporaryDirectory() as shared:
        os.environ[VARIABLE] = shared
        make_home(folder)
        make_tiny(folder / "tiny")
    make_postgres(folder / "postgres.sql")
    make_day(folder / "traffic_day.parquet")
    make_rated(folder / "rated.parquet")


if __name__ == "__main__":
    main(sys.argv[1:])
