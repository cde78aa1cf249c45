"""What earlier releases stored is read by the parts that use it, and what this release stores is what its samples say."""

import base64
import json
import re
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest

from ftassets.assets._shared.dataset_files import (
    dataset_objects,
    from_parquet,
    golden_path,
    pairs_from_parquet,
    pairs_path,
    rated_from_parquet,
    read_index,
    read_splits,
    seed_path,
)
from ftassets.assets._shared.events import DATA_VERSION
from ftassets.assets._shared.stored_reports import same_policy
from ftassets.assets.behaviour_report import _inputs
from ftassets.assets.drift_report.reference import stored as stored_reference
from ftassets.assets.eval_report.llm_judge import ask_judge
from ftassets.assets.eval_report.recompute import recompute
from ftassets.assets.quality_report import _earlier
from ftassets.backends.artifacts.external import external_model, publish_endpoint
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report, read_report, report_digests
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest, verify
from ftassets.backends.control.alerts import read_sent
from ftassets.backends.control.clients import KEY
from ftassets.backends.control.error_budget import read_ledger
from ftassets.backends.control.health import read_decision, read_health, read_notices
from ftassets.backends.control.journal import Journal, StateDamaged, read_state
from ftassets.backends.control.kept_loops import kept_loops
from ftassets.backends.control.latest import newest_reports
from ftassets.backends.control.pauses import pause_record
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.reviews import read_review
from ftassets.backends.control.rollout_looks import read_looks
from ftassets.backends.control.served import count_served
from ftassets.backends.control.shadow import read_shadow
from ftassets.backends.control.usage import read_usage
from ftassets.backends.control.waiting import read_waiting
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.signer.base import Signer
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.day_files import read
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.cli.commands import release, replay, status
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import BrokenFile, read_loops
from ftassets.config.loops_folder import LoopsFolder
from ftassets.config.profiles import artifacts, control
from ftassets.domain import retrain
from ftassets.domain.canonical import canonical_json, digest_of
from ftassets.domain.chat import question
from ftassets.domain.clients import ClientKeys
from ftassets.domain.dataset.rows import Example
from ftassets.domain.gates.alignment import Alignment
from ftassets.domain.gates.error_budget import Ledger
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import ExternalModel
from ftassets.domain.rollout.look import decided_again
from ftassets.testing.doubles.llm_judge import pairwise_double
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets.testing.tiny_loop import tiny_config
from ftassets_tests.samples import make
from ftassets_tests.samples.make import LOOP

SAMPLES = Path(make.__file__).parent
VERSIONS = ("v1", "v2", "v3")
CURRENT = VERSIONS[-1]


@pytest.fixture(params=VERSIONS)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the files a release has left behind."""
    folder = tmp_path / request.param
    shutil.copytree(SAMPLES / request.param, folder)
    connection = sqlite3.connect(folder / "home" / "traffic.db")
    connection.executescript((folder / "home" / "traffic.sql").read_text())
    connection.close()
    return folder


@pytest.fixture
def home(sample: Path) -> Home:
    """The machine's home, without its clients: requests of these tests have no key."""
    clients = sample / "home" / KEY
    if clients.exists():
        clients.rename(sample / "clients.json")
    return Home(sample / "home")


@pytest.fixture
def loop(sample: Path) -> LoopConfig:
    return read_loops(sample / "loop")[LOOP]


@pytest.fixture
def signer(home: Home) -> Signer:
    return FolderSigner(home.keys)


@pytest.fixture
def host() -> Iterator[ThreadHost]:
    host = ThreadHost(stub_engine())
    yield host
    host.close()


def state_of(home: Home) -> dict[str, Any]:
    return json.loads((home.gateway / f"{LOOP}.state.json").read_bytes())


def signed_at(home: Home, signer: Signer, version: str) -> float:
    return read_statement(Releases(control(home), signer).read(LOOP, version).payload)[2]["issued_at"]


# a machine


def test_a_version_in_production_goes_on_serving(home: Home, loop: LoopConfig, host: ThreadHost) -> None:
    before = state_of(home)["state"]
    with run_gateway_in_thread(home, {LOOP: loop}, host) as (serving, url):
        state = serving.state(LOOP)
        assert (state.production, state.standby) == (before["production"], before["standby"])
        assert state.rejected == (state.production,)
        assert [entry.action for entry in serving.journal()] == ["start", "stage", "start", "rollback", "start", "promote"]
        deadline = time.monotonic() + 20
        while serving.health()["status"] != "ok":  # its server starts
            assert time.monotonic() < deadline, serving.health()
            time.sleep(0.02)
        make.ask(url, "one more", 9)
        rolled_back = serving.rollback(LOOP, "cli", "drill")
        assert rolled_back.production == before["standby"]
    asked = SqliteTrafficLog(home.traffic_db).exchanges(LOOP)
    assert [row.weight for row in asked] == [100.0, 100.0, 100.0, 80.0, 100.0]
    assert asked[-1].version == before["production"]
    assert state_of(home)["format"] == 3
    journal = Journal(control(home))  # its older lines are those of the earlier release
    assert len(journal.entries()) == 7
    assert journal.state(LOOP) == rolled_back


def test_releases_of_an_earlier_version_may_gain_traffic(home: Home, loop: LoopConfig, host: ThreadHost, signer: Signer) -> None:
    first, second = state_of(home)["state"]["standby"], state_of(home)["state"]["production"]
    shutil.rmtree(home.gateway)  # nothing ever served here: every check counts
    at = signed_at(home, signer, first) + 60
    with run_gateway_in_thread(home, {LOOP: loop}, host, clock=lambda: at) as (serving, _):
        serving.start(LOOP, first, 100, 60.0, "cli", "first")
        serving.start(LOOP, second, 20, 60.0, "cli", "canary")
        assert serving.state(LOOP).weights == {first: 80, second: 20}
        reasons = [entry.reason for entry in serving.journal()]
    assert "overridden by anna (ml-lead)" in reasons[0]
    assert all("approved by anna (ml-lead)" in reason for reason in reasons)


def test_status_and_verify_read_it(home: Home, loop: LoopConfig, host: ThreadHost, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "loops_folder", lambda home: LoopsFolder(home.root, "here", {LOOP: loop}))
    with run_gateway_in_thread(home, {LOOP: loop}, host):
        found = status.describe(home)["loops"][LOOP]
    assert found["phase"] == "serving"
    pauses = home.root / "pauses" / f"{LOOP}.jsonl"
    paused = len(pauses.read_text().splitlines()) if pauses.exists() else 0  # no file of pauses in older homes
    assert (len(found["approvals"]), len(found["overrides"]), len(found["journal"])) == (2, 1, 5 + paused)
    versions = [state_of(home)["state"][role] for role in ("production", "standby")]
    monkeypatch.setattr(release, "time", SimpleNamespace(time=lambda: signed_at(home, signer, versions[1]) + 60))
    files = sorted((home.releases / LOOP).glob("*.dsse.json"))
    assert len(files) == 5
    for path in files:
        assert release.verify(artifacts(home), signer, {LOOP: loop}, path, loop=LOOP) | {"attested": {}} == {
            "file": str(path), "holds": True, "objections": [], "kind": kind_of(path), "key": signed_by(home, signer),
            "revoked": None, "attested": {},
        }  # fmt: skip
    assert [key.revoked for key in signer.known_keys() if key.revoked] == ["the laptop was lost"]


def kind_of(path: Path) -> str:
    return next((kind for kind in ("approval", "override") if f".{kind}." in path.name), "release")


def signed_by(home: Home, signer: Signer) -> str:
    return Releases(control(home), signer).read(LOOP, state_of(home)["state"]["production"]).key_id


def test_packs_of_releases_hold(home: Home, loop: LoopConfig, signer: Signer) -> None:
    for path in (home.root / "packs" / LOOP).glob("*/pack.dsse.json"):  # since v3
        found = release.verify(artifacts(home), signer, {LOOP: loop}, path, loop=LOOP)
        assert (found["objections"], found["kind"]) == ([], "pack")


def test_versions_are_what_they_were(home: Home, loop: LoopConfig) -> None:
    digests = [path.parent.name for path in home.versions.glob("*/manifest.json")]
    assert len(digests) == 4
    kinds = {digest: verify(artifacts(home), digest) for digest in digests}
    for manifest in kinds.values():
        if manifest.kind == "adapter":
            train = loop.train.model_copy(update=make_train())
            settings = train.model_dump(mode="json")
            assert {"method", "lora_r", "learning_rate", "replay"} <= manifest.training.keys()
            assert manifest.training == {name: settings[name] for name in manifest.training}  # later releases have more of them
    [endpoint] = [digest for digest, manifest in kinds.items() if manifest.kind == "endpoint"]
    model = external_model(artifacts(home), endpoint)
    assert model is not None
    assert (model.url, model.model, model.api_key_env) == ("https://api.example.com/v1", "modèle", "KEY")
    again = ExternalModel(url=model.url, model=model.model, api_key_env=model.api_key_env)
    assert publish_endpoint(again, loop, artifacts(home), home.root) == endpoint, "the same endpoint stays the same version"


def make_train() -> dict[str, Any]:
    """Settings of the samples' training, which were the defaults."""
    return {"gradient_accumulation_steps": 4, "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "warmup_ratio": 0.05}


def test_loop_files_say_the_same(sample: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop, new = (read_loops(folder / "loop")[LOOP] for folder in (sample, SAMPLES / CURRENT))
    without_paths = {"dataset": {"seed"}, "golden_set": True, "llm_judge": {"labels"}, "train": {"command_folder"}}
    assert loop.model_dump(exclude=without_paths) == new.model_dump(exclude=without_paths)
    assert (loop.train.lora_r, loop.monitors.llm_judge and loop.monitors.llm_judge.model) == (8, "large")
    warned = [record.getMessage() for record in caplog.records]
    assert bool(warned) is (sample.name == "v1")
    if warned:
        [text] = warned
        assert text.startswith(f"{sample / 'loop' / 'defs.yaml'} is of format 1: judge is now llm_judge; train.accumulation is now ")
        assert text.endswith("Rename them and add `format: 2` to its attributes.")


def test_eval_reports_keep_their_digest_and_their_policy(home: Home, loop: LoopConfig) -> None:
    digests = [path.stem.removeprefix("eval-") for path in (home.reports / LOOP).glob("eval-*.json")]
    assert len(digests) == 2
    for digest in digests:
        report = read_eval_report(artifacts(home), LOOP, digest)
        assert same_policy(loop, report)
        assert [each.value for each in report.pairwise_scores] == [1.0] * 10
        assert report.llm_judge_calibration is not None
        assert report.llm_judge_calibration.kappa == 1.0
        other = loop.model_copy(update={"gates": [gate.model_copy(update={"confidence": 0.9}) for gate in loop.gates]})
        assert not same_policy(other, report), "another policy needs another report"
    reviews = [review for digest in digests if (review := read_review(control(home), LOOP, digest))]
    assert [review.good for review in reviews] == [{"g0": True, "g1": False}]


def test_an_llm_judge_is_not_asked_again(home: Home, loop: LoopConfig) -> None:
    golden = [Example(id=f"g{n}", messages=question(f"question {n}"), completion="good") for n in range(12)]
    said = {word: {row.id: f"{word} {row.id}" for row in golden} for word in ("good", "bad")}
    with pairwise_double(lambda _, a, b: "tie" if a[:3] == b[:3] else "first" if a.startswith("good") else "second") as there:
        assert loop.llm_judge is not None
        moved = loop.model_copy(update={"llm_judge": loop.llm_judge.model_copy(update={"url": there.url})})
        scores, calibration = ask_judge(control(home), moved, golden, said["good"], said["bad"], print)
        assert not [asked for asked in there.asked if asked[0].startswith("question")], "only labelled pairs are asked about again"
    assert [score.value for score in scores] == [1.0] * 10
    assert calibration is not None
    assert (calibration.n, calibration.kappa) == (30, 1.0)


def test_small_files_are_read(sample: Path, home: Home, loop: LoopConfig) -> None:
    [decision] = report_digests(artifacts(home), LOOP, "decision")
    path = home.reports / LOOP / f"decision-{decision}.json"
    assert (retrain.replay(path.read_bytes()) == path.read_bytes()) == (sample.name == CURRENT), "it is stored again as the current format"
    assert replay.replay(artifacts(home), [LOOP], decision[:12]).same
    assert read_report(artifacts(home), LOOP, "decision", decision)["decision"]["action"] == "RETRAIN"
    assert newest_reports(control(home), LOOP)["live_golden_report"].limits == {"share": 0.85}
    assert [sent.key for sent in read_sent(control(home), LOOP)] == [f"{LOOP}:quality-drop"]
    assert [each.new_labels for each in read_shadow(control(home), LOOP)] == ([300] if sample.name == CURRENT else [])
    looks = read_looks(control(home), LOOP, "cd" * 32)
    assert [(look.move, look.reason == decided_again(look).reason) for look in looks] == (
        [("ROLLBACK", True)] if sample.name == CURRENT else []
    )
    waiting = read_waiting(control(home), LOOP)
    assert (waiting and waiting.told) == (True if sample.name == CURRENT else None)
    kept = kept_loops(control(home), [BrokenFile(sample / "defs.yaml", "it is broken", (LOOP,))], ())
    assert [(name, each.config.base_model, each.problem) for name, each in kept.items()] == (
        [(LOOP, loop.base_model, "it is broken")] if sample.name == CURRENT else []
    )
    used = [(each.node, each.ended, each.usage.tokens_trained) for each in read_usage(control(home), LOOP, 0, 4e9)]
    assert used == ([("adapter", "done", 120_000), ("eval_report", None, 120_000)] if sample.name == CURRENT else [])
    served = count_served(control(home), SqliteTrafficLog(home.traffic_db), LOOP, 0.0).since(0.0)
    assert {version: found.answers for version, found in served.items()} == ({"": 3, "ab" * 32: 3} if sample.name == CURRENT else {})
    health, decided = read_health(control(home), LOOP), read_decision(control(home), LOOP)
    now = sample.name == CURRENT
    assert (health and health.concerns[0].key) == ("traffic-stopped" if now else None)
    assert (decided and decided.cause) == ("few_labels" if now else None)
    assert [key for key, each in read_notices(control(home), LOOP).open.items() if each.acknowledged] == (
        ["traffic-stopped"] if now else []
    )
    assert [each.action for each in pause_record(control(home), LOOP)] == (["pause", "resume", "pause"] if now else [])
    decisions = read_ledger(artifacts(home), control(home), LOOP).decisions
    assert [each.level for each in decisions] == ([0.05, 0.05] if sample.name == CURRENT else []), "earlier releases had no error budget"
    assert read_state(control(home), LOOP) == Journal(control(home)).state(LOOP)
    assert GatewayServing(home).public_url.startswith("http://127.0.0.1:")


def test_keys_of_clients_are_read() -> None:
    [key] = ClientKeys.parse((SAMPLES / CURRENT / "home" / KEY).read_bytes()).keys
    assert (key.name, key.loops, key.requests_a_minute, key.tokens_a_minute) == ("web", (LOOP,), 60, 6000)


def test_an_error_budget_of_the_first_format_is_the_one_of_today() -> None:
    samples = SAMPLES / CURRENT
    assert Ledger.parse((samples / "budget_1.json").read_bytes()) == Ledger.parse((samples / "home/budgets" / f"{LOOP}.json").read_bytes())


# what a run of a whole loop leaves behind


@pytest.fixture
def tiny(sample: Path) -> Home:
    """The home of the tiny loop, as far as it is stored."""
    for archive in (sample / "tiny").glob("*.tar.gz"):
        with tarfile.open(archive) as file:
            file.extractall(sample / "tiny", filter="data")
    return Home(sample / "tiny")


@pytest.fixture
def store(tiny: Home) -> GitDatasetStore:
    return GitDatasetStore(tiny.datasets)


def test_datasets_are_read_and_go_on(store: GitDatasetStore, sample: Path) -> None:
    splits = read_splits(store, "main", "tiny")
    assert {row.source for rows in splits.values() for row in rows} == {"seed", "correction", "thumbs_up"}
    assert len(from_parquet(store.read("main", seed_path("tiny")))) == 96
    assert len(from_parquet(store.read("main", golden_path("tiny")))) == 12
    pairs = pairs_from_parquet(store.read("main", pairs_path("tiny")))
    assert {pair.weight for pair in pairs} == {100.0}
    index = read_index(store, "main", "tiny")
    stored = sample.name not in ("v1", "v2")
    assert bool(index.checks) is stored, "earlier releases stored no verdicts: no dataset of theirs is accepted until it is curated again"
    files = dataset_objects(store, "tiny", splits, [], index.balance, index.recipe, "next")
    store.publish("next", files, "the same rows once more", {})
    assert read_splits(store, "main", "tiny") == splits
    kept = {shard.digest for shards in index.shards.values() for shard in shards}
    now = {shard.digest for shards in read_index(store, "main", "tiny").shards.values() for shard in shards}
    assert (kept == now) is (sample.name == CURRENT), "shards of an earlier format are written anew, others stay"
    assert len(now) == len(kept)


def test_the_drift_reference_and_the_vectors_are_read(store: GitDatasetStore, tiny: Home) -> None:
    [version] = {Path(path).stem for path in store.list("main", "tiny/reference/")}
    known = stored_reference(store, "tiny", version)
    assert known is not None
    assert known.reference.vectors.shape == (known.reference.count, 64)
    vectors = QdrantVectorStore(tiny.vectors)
    assert vectors.embedders("tiny") == [known.reference.embedder] == [HashEmbedder().id]
    assert vectors.count("tiny", HashEmbedder().id) == 24
    [point] = vectors.window("tiny", HashEmbedder().id, 0.0, float("inf"), 1)
    np.testing.assert_allclose(point.vector, HashEmbedder().embed([point.text])[0], atol=1e-6)


def test_an_eval_report_is_computed_again_from_stored_answers(store: GitDatasetStore, tiny: Home, tmp_path: Path) -> None:
    gates = [{"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.9}]
    loop = tiny_config(tmp_path, tmp_path / "base", metrics=["validity"], gates=gates)
    [path] = (tiny.reports / "tiny").glob("eval-*.json")
    report, results = recompute(artifacts(tiny), control(tiny), loop, store, path.stem.removeprefix("eval-"))
    assert same_policy(loop, report)
    assert [result.verdict.value for result in results] == ["PASS"]


def test_a_drift_report_is_read_by_the_report_on_behaviour(tiny: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    [path] = (tiny.reports / "tiny").glob("drift-*.json")
    [production] = {json.loads(each.read_bytes())["production"] for each in (tiny.reports / "tiny").glob("quality-*.json")}
    event = SimpleNamespace(
        tags={"dagster/data_version": path.stem.removeprefix("drift-")}, metadata={"production": SimpleNamespace(value=production)}
    )
    monkeypatch.setattr("ftassets.assets.behaviour_report.newest", lambda *_: event)
    verdict = json.loads(path.read_bytes())["verdict"]
    found = _inputs(None, artifacts(tiny), SimpleNamespace(name="tiny"), production)  # type: ignore[arg-type]
    assert (found is None) is (verdict == "NOT ENOUGH DATA")
    if found is not None:
        assert "novelty" in {statistic.name for statistic in found}


def test_quality_is_followed_from_a_stored_report_and_anew_from_one_of_an_earlier_release(loop: LoopConfig, tiny: Home) -> None:
    [path] = (tiny.reports / "tiny").glob("quality-*.json")
    event = dg.AssetMaterialization("quality_report", tags={DATA_VERSION: path.stem.removeprefix("quality-")})
    earlier = _earlier(artifacts(tiny), loop.model_copy(update={"name": "tiny"}), event)
    stored = json.loads(path.read_bytes())
    assert earlier.production == stored["production"]
    assert {name: len(series.days) for name, series in earlier.series.items()} == {
        name: len(series["days"]) for name, series in stored.get("series", {}).items()
    }


def test_manifests_of_trained_versions_are_read(tiny: Home) -> None:
    manifests = [load_manifest(artifacts(tiny), path.parent.name) for path in tiny.versions.glob("*/manifest.json")]
    [trained] = [manifest for manifest in manifests if manifest.kind == "adapter"]
    assert (trained.training["lora_r"], trained.training["gradient_accumulation_steps"]) == (4, 1)


# a newer release


def test_what_a_newer_release_wrote_stops_only_what_needs_it(home: Home, loop: LoopConfig) -> None:
    [*_, digest] = [path.parent.name for path in home.versions.glob("*/manifest.json")]
    newer(home.versions / digest / "manifest.json")
    with pytest.raises(VersionDamaged, match="format 99 was written by a newer release of ftassets.*upgrade ftassets"):
        load_manifest(artifacts(home), digest)
    newer(home.reports / LOOP / "latest.json")
    assert newest_reports(control(home), LOOP) == {}
    [report, _] = report_digests(artifacts(home), LOOP, "eval")
    document = {**json.loads((home.reports / LOOP / f"eval-{report}.json").read_bytes()), "format": 99}
    digest = digest_of(document)
    (home.reports / LOOP / f"eval-{digest}.json").write_bytes(canonical_json(document))
    with pytest.raises(ReportDamaged, match="an eval report: format 99 was written by a newer release of ftassets.*upgrade ftassets"):
        read_eval_report(artifacts(home), LOOP, digest)


def test_a_gateway_does_not_serve_a_loop_of_a_newer_state(home: Home) -> None:
    newer(home.gateway / f"{LOOP}.state.json")
    with pytest.raises(StateDamaged, match=r"support\.state\.json: the state of an endpoint: format 99 .* upgrade ftassets"):
        Journal(control(home)).state(LOOP)


def test_a_gateway_does_not_serve_a_loop_of_a_newer_journal(home: Home) -> None:
    path = home.gateway / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], json.dumps({**json.loads(lines[2]), "format": 99}), *lines[3:]]) + "\n")
    with pytest.raises(StateDamaged, match=r"journal\.jsonl, line 3: an entry of the gateway's journal: format 99"):
        Journal(control(home)).state(LOOP)


def newer(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": 99}))


@pytest.mark.parametrize(
    ("name", "comment", "tags"),
    [
        ("traffic_day_1.parquet", None, None),
        ("traffic_day_2.parquet", "opens the wrong door", None),
        ("traffic_day_3.parquet", "opens the wrong door", "late, rude"),
        ("traffic_day_4.parquet", "opens the wrong door", "late, rude"),
        ("traffic_day.parquet", "opens the wrong door", "late, rude"),
    ],
)
def test_a_day_that_left_the_log_is_read(name: str, comment: str | None, tags: str | None) -> None:
    [first, second] = read(SAMPLES / CURRENT / name)
    assert [first.exchange, second.exchange] == [make.exchange(0), make.exchange(1)]
    assert [(each.rating, each.correction, each.comment, each.tags) for each in first.feedback] == [
        ("down", None, comment, tags),
        (None, '{"intent": "open"}', None, None),
    ]
    assert list(second.feedback) == []


# what is written today


def shape(value: Any) -> Any:
    """Names of all fields, whatever their values are; digests and ids among the names count as one."""
    if isinstance(value, dict):
        return sorted({(re.sub(r"[0-9a-f]{16,64}", "DIGEST", name), json.dumps(shape(each))) for name, each in value.items()})
    if isinstance(value, list):
        return sorted({json.dumps(shape(each)) for each in value})
    return "value"


def shapes(folder: Path) -> dict[str, Any]:
    """Shape of every JSON file and line, and statement, below a folder, by a name without digests."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.json*")):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        name = re.sub(r"[0-9a-f]{64}", "DIGEST", str(path.relative_to(folder)))
        for line in lines:
            document = json.loads(line)
            if "payload" in document:
                document = json.loads(base64.b64decode(document["payload"]))
            found.setdefault(name, set()).add(json.dumps(shape(document)))
    return found


ADVICE = "a stored format changed: raise its version in ftassets/domain/formats.py, add a lift, and see ftassets_tests/samples/README.md"


def test_what_is_written_today_has_the_fields_of_the_samples(tmp_path: Path) -> None:
    make.make_home(tmp_path)
    assert shapes(tmp_path / "home") == shapes(SAMPLES / CURRENT / "home"), ADVICE
    assert tables(tmp_path / "home" / "traffic.sql") == tables(SAMPLES / CURRENT / "home" / "traffic.sql"), ADVICE


def tables(dump: Path) -> list[str]:
    return [line for line in dump.read_text().splitlines() if not line.startswith("INSERT")]


def test_a_day_is_written_today_with_the_columns_of_the_sample(tmp_path: Path) -> None:
    make.make_day(tmp_path / "day.parquet")
    assert pq.read_schema(tmp_path / "day.parquet") == pq.read_schema(SAMPLES / CURRENT / "traffic_day.parquet"), ADVICE


def test_rated_answers_are_read_and_written_today_with_the_columns_of_the_sample(tmp_path: Path) -> None:
    sample = SAMPLES / CURRENT / "rated.parquet"
    make.make_rated(tmp_path / "rated.parquet")
    assert pq.read_schema(tmp_path / "rated.parquet") == pq.read_schema(sample), ADVICE
    up, down = rated_from_parquet(sample.read_bytes())
    assert (up.rating, up.source, down.rating, down.source) == ("up", "thumbs", "down", "correction")


def test_what_a_training_on_preferences_brought_is_read(home: Home) -> None:
    digests = report_digests(artifacts(home), LOOP, "alignment")
    if digests:  # since v3
        assert Alignment.parse(read_report(artifacts(home), LOOP, "alignment", digests[0])) == make.alignment()


@pytest.mark.slow
@pytest.mark.models
def test_what_a_whole_loop_writes_today_has_the_fields_of_the_samples(tmp_path: Path) -> None:
    make.make_tiny(tmp_path / "tiny")
    assert shapes(tmp_path / "tiny") == shapes(SAMPLES / CURRENT / "tiny"), ADVICE
