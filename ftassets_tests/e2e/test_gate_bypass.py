"""Every way around the gates that we know of, tried: none of them brings an unproven version into traffic."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

from ftassets.assets._shared.dataset_files import index_path, read_splits, refused_branch, refused_folder
from ftassets.assets._shared.events import DATA_VERSION, data_version, newest, node
from ftassets.automation import runs
from ftassets.automation.runs import refusals
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.serve_gate import serve_gate
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.serving.base import Refused, ServingError
from ftassets.backends.signer.folder import FolderSigner
from ftassets.cli.commands import release as people
from ftassets.config.profiles import artifacts, control
from ftassets.domain.release.approval import NotAllowed
from ftassets.domain.release.attestation import statement
from ftassets.domain.release.statement import read_statement
from ftassets.durable import file_digest
from ftassets.testing.tiny_loop import LOOP, TinyLoop, tiny_loop

pytestmark = [pytest.mark.slow, pytest.mark.models]

NEVER_BETTER = [
    {"metric": "exact_match", "better_than": "production"},
    {"metric": "exact_match", "slice": "drifted", "better_than": "production"},
]
RULES = {"people": {"anna": "lead", "ben": "intern"}, "approve": ["lead"], "override": ["lead"]}


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    """A loop whose candidate was trained and evaluated, and failed its gate."""
    with tiny_loop(tmp_path_factory.mktemp("red"), gates=NEVER_BETTER, release=RULES) as loop:
        result = loop.run("retrain")
        assert not result.success
        assert newest(loop.instance, node(LOOP, "eval_report")) is not None
        yield loop


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    """A loop with a released version that takes no traffic yet."""
    with tiny_loop(tmp_path_factory.mktemp("green")) as loop:
        assert loop.run("retrain").success
        yield loop


def released(loop: TinyLoop) -> bool:
    return newest(loop.instance, node(LOOP, "release")) is not None


def candidate(loop: TinyLoop) -> str:
    event = newest(loop.instance, node(LOOP, "adapter"))
    assert event is not None
    return data_version(event)


def candidate_of_report(loop: TinyLoop) -> str:
    event = newest(loop.instance, node(LOOP, "eval_report"))
    assert event is not None
    return read_eval_report(artifacts(loop.home), LOOP, data_version(event)).candidate


def envelope(loop: TinyLoop, digest: str) -> Path:
    return loop.home.releases / LOOP / f"{digest}.dsse.json"


def start(loop: TinyLoop, digest: str) -> None:
    loop.serving.start(LOOP, digest, 100, 60.0, "test", "bypass")


def signer(loop: TinyLoop) -> FolderSigner:
    return FolderSigner(loop.home.keys)


def refusal(loop: TinyLoop, *nodes: str, checks: bool = True) -> str:
    """Why materializing these nodes, only `release` without any, was refused."""
    before = newest(loop.instance, node(LOOP, "release"))
    result = loop.materialize(*nodes or ["release"], checks=checks)
    assert not result.success
    assert newest(loop.instance, node(LOOP, "release")) == before
    [failure] = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert failure is not None
    reasons = failure.metadata.get("reasons")
    return f"{failure.description}: {reasons and reasons.value}"


@contextlib.contextmanager
def other_gates(loop: TinyLoop, *gates: dict[str, Any]) -> Iterator[None]:
    """The loop file with other gates, for a while."""
    kept = loop.loop
    loop.loop = type(kept).model_validate({**kept.model_dump(), "gates": gates})
    try:
        yield
    finally:
        loop.loop = kept


@contextlib.contextmanager
def another(tiny: TinyLoop, version: str, **predicate: Any) -> Iterator[None]:
    """The attestation of a version signed again with other content by the loop's own key, for a while."""
    path = envelope(tiny, version)
    original = path.read_bytes()
    _, files, known = read_statement(signer(tiny).verify(original))
    changed = {**known, **predicate}
    path.write_bytes(signer(tiny).sign(statement(changed["loop"], changed["version"], files, changed)))
    try:
        yield
    finally:
        path.write_bytes(original)


class TestRedGate:
    def test_the_run_stops_before_release(self, red: TinyLoop) -> None:
        assert not released(red)

    def test_materializing_only_release(self, red: TinyLoop) -> None:
        assert f"gates have not passed for the newest report: {{'{red.loop.gates[0].name}': 'failed'" in refusal(red)
        assert not released(red)

    def test_a_job_without_checks(self, red: TinyLoop) -> None:
        assert f"'{red.loop.gates[0].name}': 'the verdict belongs to an older report'" in refusal(
            red, "eval_report", "release", checks=False
        )
        assert not released(red)

    @pytest.mark.parametrize("severity", [dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN])
    def test_a_verdict_reported_by_hand(self, red: TinyLoop, severity: dg.AssetCheckSeverity) -> None:
        passed = dg.AssetCheckEvaluation(
            asset_key=node(LOOP, "eval_report"), check_name=red.loop.gates[0].name, passed=True, severity=severity, metadata={}
        )
        red.instance.report_runless_asset_event(passed)
        assert f"'{red.loop.gates[0].name}': 'the verdict was not produced by a run'" in refusal(red)

    def test_an_older_report_reported_by_hand(self, red: TinyLoop) -> None:
        event = newest(red.instance, node(LOOP, "eval_report"))
        assert event is not None
        kept = dg.AssetMaterialization(node(LOOP, "eval_report"), metadata=event.metadata, tags={DATA_VERSION: data_version(event)})
        assert not red.materialize("eval_report").success
        red.instance.report_runless_asset_event(kept)
        assert "the newest eval_report does not come from the run that made it" in refusal(red)
        assert not red.materialize("eval_report").success

    def test_other_gates_after_the_report(self, red: TinyLoop) -> None:
        with other_gates(red, {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.9}):
            assert "'exact_match_established_no_worse': 'not evaluated'" in refusal(red)

    def test_materializing_the_endpoint_without_a_release(self, red: TinyLoop) -> None:
        result = red.move("start")
        [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        assert "release has never been materialized" in str(failure.error)
        assert red.serving.state(LOOP).phase == "idle"

    def test_calling_the_admin_api_directly(self, red: TinyLoop) -> None:
        with pytest.raises(Refused, match="no release attestation"):
            start(red, candidate(red))
        assert red.serving.state(LOOP).phase == "idle"

    def test_an_alias_set_by_hand_in_mlflow(self, red: TinyLoop) -> None:
        registry = red.resources["registry"].resource_fn(dg.build_init_resource_context())
        digest = candidate(red)
        registry.register(LOOP, "by-hand", digest, None, {})
        registry.set_alias(LOOP, "production", digest)
        with pytest.raises(Refused, match="no release attestation"):
            start(red, digest)
        assert red.serving.state(LOOP).phase == "idle"

    def test_a_staged_version_gets_no_traffic(self, red: TinyLoop) -> None:
        url = red.serving.stage(LOOP, candidate(red), 60.0)
        assert url.startswith("http://127.0.0.1:")
        body = {"model": LOOP, "messages": [{"role": "user", "content": "dim the lamp"}]}
        assert requests.post(f"{url}/chat/completions", json=body, timeout=30).status_code == 200
        asked = requests.post(f"{red.url}/v1/chat/completions", json=body, timeout=30)
        assert (asked.status_code, "no production version" in asked.text) == (503, True)
        with pytest.raises(ServingError, match="no candidate"):
            red.serving.ramp(LOOP, 50, 60.0, "test", "bypass")
        red.serving.unstage(LOOP, candidate(red))

    def test_the_admin_api_without_its_token(self, red: TinyLoop) -> None:
        address = json.loads((red.home.gateway / "address.json").read_text())["admin"]
        body = {"digest": candidate(red), "weight": 100, "lease": 60.0, "by": "test", "reason": "bypass"}
        for headers in ({}, {"authorization": "Bearer guessed"}):
            assert requests.post(f"{address}/admin/v1/loops/{LOOP}/start", json=body, headers=headers, timeout=10).status_code == 401


class TestOverride:
    """After everything in TestRedGate: the last one lets the version out."""

    def overridden(self, red: TinyLoop, gates: list[str], seconds: float = 3600.0) -> Path:
        people.override(
            artifacts(red.home), control(red.home), signer(red), red.loop, candidate(red)[:12], gates, "anna", "cannot wait", seconds
        )
        return Path(Releases(control(red.home), signer(red)).uri(LOOP, candidate(red), "override"))

    def test_by_the_wrong_role(self, red: TinyLoop) -> None:
        with pytest.raises(NotAllowed, match="ben is intern"):
            people.override(artifacts(red.home), control(red.home), signer(red), red.loop, candidate(red), [], "ben", "please", 3600.0)
        assert not list((red.home.releases / LOOP).glob("*.override.*"))

    def test_that_does_not_name_a_failing_gate(self, red: TinyLoop) -> None:
        self.overridden(red, [red.loop.gates[0].name])
        assert f"does not name {red.loop.gates[1].name}" in refusal(red)

    def test_that_has_expired(self, red: TinyLoop) -> None:
        self.overridden(red, [], seconds=1e-6)
        assert "the override has expired" in refusal(red)

    def test_that_was_edited(self, red: TinyLoop) -> None:
        path = self.overridden(red, [])
        content = json.loads(path.read_text())
        content["payload"] = content["payload"][:-8] + "AAAAAAAA"
        path.write_text(json.dumps(content))
        assert "changed afterwards" in refusal(red)

    def test_by_a_person_who_may_no_longer(self, red: TinyLoop) -> None:
        self.overridden(red, [])
        rules = red.loop
        red.loop = rules.model_copy(update={"release": rules.release.model_copy(update={"override": []})})
        try:
            assert "release.override of the loop file" in refusal(red)
        finally:
            red.loop = rules

    def test_for_a_report_whose_gates_were_not_evaluated(self, red: TinyLoop) -> None:
        self.overridden(red, [])
        red.materialize("eval_report", checks=False)
        assert "the verdict belongs to an older report" in refusal(red), "the override is of that older report"
        self.overridden(red, [])
        assert "the verdict belongs to an older report" in refusal(red)

    def test_the_real_one_is_seen_everywhere(self, red: TinyLoop) -> None:
        red.materialize("eval_report")
        self.overridden(red, [])
        assert red.materialize("release").success
        event = newest(red.instance, node(LOOP, "release"))
        assert event is not None
        said = "exact_match_better, exact_match_drifted_better overridden by anna (lead): cannot wait"
        assert event.metadata["override"].value == said
        [seen] = red.instance.fetch_observations(node(LOOP, "release"), limit=10).records
        assert seen.asset_observation is not None
        assert seen.asset_observation.description == said
        _, _, predicate = read_statement(signer(red).verify(envelope(red, candidate(red)).read_bytes()))
        assert set(predicate["verdicts"].values()) != {"PASS"}
        expired = {**predicate["override"], "expires_at": int(time.time()) - 1}
        with another(red, candidate(red), override=expired), pytest.raises(Refused, match="override has expired"):
            start(red, candidate(red))
        start(red, candidate(red))
        assert said in red.serving.journal()[-1].reason


def raised(loop: TinyLoop, min_rows: int) -> None:
    """The loop file asks for so many rows."""
    dataset = loop.loop.dataset.model_copy(update={"min_rows": min_rows})
    loop.loop = loop.loop.model_copy(update={"dataset": dataset})


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the one step that failed said."""
    assert not result.success
    [failed] = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert failed is not None
    return str(failed.description)


class TestRefusedInputs:
    """Upstream checks block for whoever selects single nodes, leaves checks out, or reports a pass by hand. In this order."""

    @pytest.fixture(scope="class")
    def few(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
        """A loop that asks for more rows than it has."""
        with tiny_loop(tmp_path_factory.mktemp("few")) as loop:
            raised(loop, 10_000)
            yield loop

    def test_a_dataset_with_too_few_rows_does_not_get_to_main(self, few: TinyLoop) -> None:
        assert not few.materialize("seed_examples", "golden_set", "curated_dataset").success
        event = newest(few.instance, node(LOOP, "curated_dataset"))
        assert event is not None
        assert "enough_rows: 96 rows are too few: the loop asks for 10,000" in str(event.metadata["verdict"].value)
        store = GitDatasetStore(few.home.datasets)
        assert index_path(LOOP) not in store.list("main")
        commit = store.get_commit(data_version(event))
        assert commit.metadata["refused"] == "enough_rows"
        assert store.branches(refused_folder(LOOP)) == [refused_branch(LOOP, commit.metadata["run_id"])]
        assert sum(map(len, read_splits(store, commit.id, LOOP).values())) == 96, "people can look at its rows"

    def test_the_retrain_job_stops_there_and_counts_as_a_retrain(self, few: TinyLoop) -> None:
        result = few.run("retrain")
        assert not result.success
        assert newest(few.instance, node(LOOP, "adapter")) is None
        [told] = refusals(few.instance, result.run_id)
        assert told.startswith("enough_rows: 96 rows are too few")
        ran = runs.retrain_history(few.instance, LOOP)
        assert ran.last is not None
        assert (ran.last.dagster_run.run_id, ran.attempts) == (result.run_id, 0)

    def test_node_after_node(self, few: TinyLoop) -> None:
        assert "no dataset of tiny is accepted. The newest, " in failure(few.materialize("adapter"))
        assert failure(few.materialize("eval_report")) == "tiny/adapter has never been materialized: materialize it first"
        assert "tiny/eval_report has never been materialized" in failure(few.materialize("release"))

    def test_the_whole_chain_in_one_run(self, few: TinyLoop) -> None:
        result = few.materialize("curated_dataset", "adapter", "eval_report", "release")
        assert not result.success
        assert newest(few.instance, node(LOOP, "adapter")) is None

    def test_the_whole_chain_without_checks(self, few: TinyLoop) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError):  # the asset decides its own checks: Dagster leaves none of them out
            few.materialize("curated_dataset", "adapter", "eval_report", "release", checks=False)
        assert "no dataset of tiny is accepted" in failure(few.materialize("adapter", "eval_report", "release"))

    def test_a_pass_and_a_dataset_reported_by_hand(self, few: TinyLoop) -> None:
        few.instance.report_runless_asset_event(dg.AssetCheckEvaluation(node(LOOP, "curated_dataset"), "enough_rows", passed=True))
        assert "was refused: enough_rows: 96 rows are too few" in failure(few.materialize("adapter"))
        commit = GitDatasetStore(few.home.datasets).resolve("main")
        few.instance.report_runless_asset_event(dg.AssetMaterialization(node(LOOP, "curated_dataset"), tags={DATA_VERSION: commit}))
        assert "has no dataset at" in failure(few.materialize("adapter"))

    def test_a_newer_refused_dataset_leaves_the_accepted_one_in_use(self, few: TinyLoop) -> None:
        raised(few, 10)
        assert few.materialize("curated_dataset").success
        store = GitDatasetStore(few.home.datasets)
        accepted = store.last_change("main", index_path(LOOP))
        raised(few, 10_000)
        assert not few.materialize("curated_dataset").success
        assert few.materialize("adapter").success
        event = newest(few.instance, node(LOOP, "adapter"))
        assert event is not None
        assert event.metadata["dataset_commit"].value == accepted[:12]
        assert "is newer and was refused: enough_rows: 96 rows are too few" in str(event.metadata["passed_over"].value)
        assert few.materialize("eval_report", "release").success, "what is accepted is released all the same"

    def test_an_adapter_event_by_hand(self, few: TinyLoop) -> None:
        released_one = candidate(few)
        base = load_manifest(artifacts(few.home), released_one).base_digest
        few.instance.report_runless_asset_event(dg.AssetMaterialization(node(LOOP, "adapter"), tags={DATA_VERSION: str(base)}))
        assert few.materialize("eval_report").success
        event = newest(few.instance, node(LOOP, "eval_report"))
        assert event is not None
        assert event.metadata["candidate"].value == released_one[:12]
        assert "it was not trained for tiny" in str(event.metadata["passed_over"].value)

    def test_a_manifest_that_names_a_refused_dataset(self, few: TinyLoop) -> None:
        [branch, *_] = GitDatasetStore(few.home.datasets).branches(refused_folder(LOOP))
        path = few.home.versions / candidate_of_report(few) / "manifest.json"
        original = path.read_text()
        refused = GitDatasetStore(few.home.datasets).resolve(branch)
        path.write_text(json.dumps({**json.loads(original), "dataset_commit": refused}))
        try:
            assert "is not accepted" in refusal(few)
            assert "no adapter of tiny is accepted" in failure(few.materialize("eval_report"))
        finally:
            path.write_text(original)

    def test_a_manifest_with_losses_that_rose(self, few: TinyLoop) -> None:
        assert few.materialize("eval_report").success
        path = few.home.versions / candidate_of_report(few) / "manifest.json"
        original = json.loads(path.read_text())
        metrics = {**original["metrics"], "first_loss": 1.0, "last_loss": 9.0}
        path.write_text(json.dumps({**original, "metrics": metrics}))
        try:
            assert "'loss_fell': 'loss 1.000 at the start, 9.000 at the end'" in refusal(few)
        finally:
            path.write_text(json.dumps(original))


class TestForgedRelease:
    def test_an_edited_report(self, green: TinyLoop) -> None:
        event = newest(green.instance, node(LOOP, "eval_report"))
        assert event is not None
        path = green.home.reports / LOOP / f"eval-{data_version(event)}.json"
        original = path.read_bytes()
        report = json.loads(original)
        report["latency_ms"]["candidate"] = [1.0] * len(report["latency_ms"]["candidate"])
        path.write_text(json.dumps(report))
        try:
            assert "was changed after it was written" in refusal(green)
        finally:
            path.write_bytes(original)

    def test_a_looser_policy_after_the_report(self, green: TinyLoop) -> None:
        first, *others = [gate.model_dump(exclude_defaults=True) for gate in green.loop.gates]
        with other_gates(green, {**first, "margin": 0.9}, *others):
            assert [gate.name for gate in green.loop.gates] == ["exact_match_established_no_worse", "latency_p95_no_worse"]
            assert "the gates of the loop were changed after the report" in refusal(green)

    def test_no_attestation(self, green: TinyLoop) -> None:
        path = envelope(green, candidate(green))
        hidden = path.with_suffix(".hidden")
        path.rename(hidden)
        try:
            with pytest.raises(Refused, match="no release attestation"):
                start(green, candidate(green))
        finally:
            hidden.rename(path)

    def test_an_edited_weight_file(self, green: TinyLoop) -> None:
        path = green.home.versions / candidate(green) / "merged" / "model.safetensors"
        original = path.read_bytes()
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        try:
            with pytest.raises(Refused, match=r"model\.safetensors is missing or was changed"):
                start(green, candidate(green))
        finally:
            path.write_bytes(original)

    def test_an_edited_weight_file_with_a_manifest_to_match(self, green: TinyLoop) -> None:
        folder = green.home.versions / candidate(green)
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy, symlinks=True)
        weights = folder / "merged" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"]["merged/model.safetensors"] = file_digest(weights)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        try:
            with pytest.raises(Refused, match="describes version"):
                start(green, candidate(green))
        finally:
            shutil.rmtree(folder)
            copy.rename(folder)

    def test_a_foreign_key(self, green: TinyLoop, tmp_path: Path) -> None:
        digest = candidate(green)
        path = envelope(green, digest)
        original = path.read_bytes()
        path.write_bytes(FolderSigner(tmp_path).sign(signer(green).verify(original)))  # the same statement, byte for byte
        try:
            with pytest.raises(Refused, match="not signed by the release key"):
                start(green, digest)
        finally:
            path.write_bytes(original)

    def test_the_attestation_of_another_version(self, green: TinyLoop) -> None:
        digest = candidate(green)
        base = load_manifest(artifacts(green.home), digest).base_digest
        assert base is not None
        stolen = envelope(green, base)
        stolen.write_bytes(envelope(green, digest).read_bytes())
        try:
            with pytest.raises(Refused, match=f"for version {digest[:12]}, not {base[:12]}"):
                start(green, base)
        finally:
            stolen.unlink()

    def test_a_pickle_beside_the_weights(self, green: TinyLoop) -> None:
        extra = green.home.versions / candidate(green) / "merged" / "extra.bin"
        extra.write_bytes(b"\x80\x04.")
        try:
            with pytest.raises(Refused, match=r"merged/extra\.bin: only safetensors"):
                start(green, candidate(green))
        finally:
            extra.unlink()

    def test_the_attestation_says_what_was_released(self, green: TinyLoop) -> None:
        _, files, predicate = read_statement(signer(green).verify(envelope(green, candidate(green)).read_bytes()))
        assert files == load_manifest(artifacts(green.home), candidate(green)).files
        parts = ("base_digest", "tokenizer_digest", "dataset_commit", "golden_commit", "policy_digest", "report_digest", "code_digest")
        assert all(len(str(predicate[part])) >= 40 for part in parts)
        assert predicate["override"] is None
        assert predicate["expires_at"] - predicate["issued_at"] == pytest.approx(green.loop.release.valid_for, abs=120)

    def test_repeating_the_release_changes_nothing(self, green: TinyLoop) -> None:
        before = envelope(green, candidate(green)).read_bytes()
        assert green.materialize("release").success
        assert envelope(green, candidate(green)).read_bytes() == before

    def test_the_attestation_of_another_loop(self, green: TinyLoop) -> None:
        with another(green, candidate(green), loop="other"), pytest.raises(Refused, match="for loop 'other'"):
            start(green, candidate(green))

    def test_other_generation_settings_in_the_manifest(self, green: TinyLoop) -> None:
        path = green.home.versions / candidate(green) / "manifest.json"
        original = path.read_text()
        manifest = json.loads(original)
        path.write_text(json.dumps({**manifest, "generation": {**manifest["generation"], "temperature": 2.0}}))
        try:
            with pytest.raises(Refused, match="generation settings"):
                start(green, candidate(green))
        finally:
            path.write_text(original)

    def test_a_revoked_key_until_the_release_is_made_again(self, green: TinyLoop) -> None:
        signs = signer(green)
        old = signs.key_id
        signs.rotate()
        signs.revoke(old, "laptop lost")
        with pytest.raises(Refused, match="laptop lost"):
            start(green, candidate(green))
        assert green.materialize("release").success  # the new key signs, the old envelope is kept
        assert len(list((green.home.releases / LOOP / "replaced").iterdir())) == 1

    def test_the_real_one_is_taken_at_the_end(self, green: TinyLoop) -> None:
        start(green, candidate(green))
        assert green.serving.state(LOOP).production == candidate(green)

    def test_a_rollback_looks_at_no_expiry(self, green: TinyLoop) -> None:
        digest = candidate(green)
        base = load_manifest(artifacts(green.home), digest).base_digest
        assert base is not None
        payload = statement(
            LOOP, base, load_manifest(artifacts(green.home), base).files,
            {"verdicts": {"all": "PASS"}, "generation": {}, "expires_at": int(time.time()) + 600, "compared_with": digest},
        )  # fmt: skip
        envelope(green, base).write_bytes(signer(green).sign(payload))
        start(green, base)
        with another(green, digest, expires_at=int(time.time()) - 1):
            assert green.serving.rollback(LOOP, "test", "bad answers").production == digest


class TestServeGate:
    """A model server that is reached without the gateway: `ftassets verify --serve-gate`, the same for an init container."""

    @pytest.fixture
    def loaded(self, green: TinyLoop, tmp_path: Path) -> Path:
        """The released version's files on the disk of a model server."""
        return Path(shutil.copytree(green.home.versions / candidate(green), tmp_path / "mnt"))

    def why_not(self, loop: TinyLoop, folder: Path, name: str = LOOP) -> str:
        found = serve_gate(folder, name, Releases(control(loop.home), signer(loop)), time.time())
        return "; ".join(found.objections)

    def test_the_released_version(self, green: TinyLoop, loaded: Path) -> None:
        assert not self.why_not(green, loaded)

    def test_an_edited_file(self, green: TinyLoop, loaded: Path) -> None:
        weights = loaded / "adapter" / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01")
        assert "adapter/adapter_model.safetensors is missing, changed" in self.why_not(green, loaded)

    def test_an_extra_file(self, green: TinyLoop, loaded: Path) -> None:
        (loaded / "adapter" / "new_embeddings.safetensors").write_bytes(b"")
        assert "adapter/new_embeddings.safetensors is missing, changed or not of the version" in self.why_not(green, loaded)

    def test_a_link(self, green: TinyLoop, loaded: Path) -> None:
        adapter = loaded / "adapter"
        shutil.rmtree(adapter)
        adapter.symlink_to(green.home.versions / candidate(green) / "adapter")
        assert "is a link" in self.why_not(green, loaded)

    def test_an_unreleased_version(self, green: TinyLoop) -> None:
        base = load_manifest(artifacts(green.home), candidate(green)).base_digest
        assert self.why_not(green, green.home.versions / str(base))

    def test_another_loop(self, green: TinyLoop, loaded: Path) -> None:
        assert "there is no release of version" in self.why_not(green, loaded, "other")
        with another(green, candidate(green), loop="other"):
            assert "for loop 'other'" in self.why_not(green, loaded)

    def test_an_expired_attestation(self, green: TinyLoop, loaded: Path) -> None:
        with another(green, candidate(green), expires_at=int(time.time()) - 1):
            assert "has expired" in self.why_not(green, loaded)

    def test_a_revoked_key(self, green: TinyLoop, loaded: Path) -> None:
        signs = signer(green)
        old = signs.key_id
        signs.rotate()
        signs.revoke(old, "laptop lost")
        assert "was revoked: laptop lost" in self.why_not(green, loaded)
