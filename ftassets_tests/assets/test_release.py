"""What the release asset refuses, and why: one test for each of its guards, without a model, a gateway or MLflow."""

import hashlib
import json
import shutil
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from ftassets.assets import release as release_asset
from ftassets.assets._shared.dataset_files import dataset_objects, golden_path, read_index, to_parquet
from ftassets.assets._shared.events import DATA_VERSION, node
from ftassets.assets._shared.stored_reports import policy_digest
from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.control.releases import Releases
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.signer.folder import FolderSigner
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, control
from ftassets.domain.acceptance import Check
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.error_budget import Spending
from ftassets.domain.gates.policy import RULE
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.approval import Override, override_statement
from ftassets.domain.release.pack import ATTESTATION, MANIFEST, MODEL_SIGNATURE, PACK_TYPE, SOFTWARE_BILL
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import ADAPTER, wanted_parts
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.doubles.registry import MemoryRegistry
from ftassets.testing.releases import ACCEPTED, loop_config, make_version

RULES = {"people": {"anna": "lead", "ben": "intern"}, "approve": ["lead"], "override": ["lead"]}
GATE = {"metric": "exact_match", "no_worse_than": "production", "margin": 0.3}
NAME = "exact_match_no_worse"
PRODUCTION = "f" * 64


def scores(right: int) -> list[Score]:
    return [Score(id=str(n), slice="golden", exact=n < right, fields=float(n < right), valid=True) for n in range(50)]


@dataclass
class World:
    """A candidate that was trained and evaluated against production, and everything `release` reads."""

    home: Home
    loop: LoopConfig
    instance: dg.DagsterInstance
    candidate: str = ""
    production: str | None = PRODUCTION
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)

    def __post_init__(self) -> None:
        self.signer = FolderSigner(self.home.keys)
        self.store = GitDatasetStore(self.home.root / "datasets.git")
        self.releases = Releases(control(self.home), self.signer)
        self.dataset = self.curated("d")
        self.candidate = self.made("a")
        self.trained(self.candidate)

    def curated(self, name: str, checks: Mapping[str, Check] = ACCEPTED, rows: int = 3) -> str:
        """The commit of a dataset with these verdicts."""
        train = [Example(id=f"{name}{n}", messages=question(f"{name} {n}"), completion="{}") for n in range(rows)]
        splits: dict[str, list[Example]] = {"train": train, "validation": [], "test": []}
        objects = dataset_objects(self.store, "support", splits, [], {}, {}, name, checks=checks)
        return self.store.publish(name, objects, name, {}).commit

    def made(self, content: str, dataset: str | None = None, first: float = 2.0, last: float = 1.0, **stated: Any) -> str:
        """A version as training leaves one: its parts, its losses, and the dataset it was trained on."""
        commit = dataset or self.dataset
        stated = {"loop": "support", "dataset_hash": read_index(self.store, commit, "support").content_hash, **stated}
        return make_version(
            self.home,
            content,
            parts=wanted_parts(ADAPTER),
            dataset_commit=commit,
            metrics={"first_loss": first, "last_loss": last},
            **stated,
        )

    def trained(self, version: str) -> None:
        """The adapter's newest materialization is this version."""
        event = dg.AssetMaterialization(node("support", "adapter"), tags={DATA_VERSION: version})
        self.instance.report_runless_asset_event(event)

    def report(self, right: int = 50, **changes: Any) -> str:
        """Digest of a report with this many right answers of 50."""
        report = EvalReport(
            loop="support", run_id="r", candidate=self.candidate, production=PRODUCTION, production_is_base=False, base="b" * 64,
            dataset_commit=self.dataset, golden_commit="0" * 40, policy_digest=policy_digest(self.loop),
            generation={"temperature": 0.0, "max_tokens": 32}, latency_ms={}, answers={},
            scores={"candidate": scores(right), "production": scores(40)}, gate_rule=RULE,
            error_budget=Spending(per_year=1.0, level=0.05, left=0.1, spent=0.05, decisions=1),
        ).model_copy(update=changes)  # fmt: skip
        return store_eval_report(artifacts(self.home), report)

    def golden(self, groups: Mapping[str, str] = MappingProxyType({})) -> str:
        """The commit of the golden rows that reports are about, some of a group."""
        rows = [Example(id=f"{n}", messages=question(f"ask {n}"), completion="{}", group=groups.get(f"{n}")) for n in range(50)]
        return self.store.publish(f"golden{len(groups)}", {golden_path("support"): to_parquet(rows)}, "golden", {}).commit

    def evaluated(self, right: int = 50, passed: bool = True, check: bool = True, digest: str | None = None, **changes: Any) -> str:
        """A report of a run, or the one with this digest, and the verdict of its gate by that run; the report's digest."""
        made: list[str] = []
        key = node("support", "eval_report")

        @dg.asset(key=key, check_specs=[dg.AssetCheckSpec(NAME, asset=key)] if check else None)
        def eval_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            made.append(digest or self.report(right, **{"run_id": context.run_id, **changes}))
            results = [dg.AssetCheckResult(check_name=NAME, passed=passed)] if check else []
            return dg.MaterializeResult(data_version=dg.DataVersion(made[0]), check_results=results)

        assert dg.materialize([eval_report], instance=self.instance).success
        return made[0]

    def overridden(self, report: str, **changes: Any) -> None:
        said = Override(
            loop="support", version=self.candidate, report_digest=report, name="anna", role="lead", reason="cannot wait",
            issued_at=int(time.time()), expires_at=int(time.time()) + 3600, gates={NAME: "FAIL"},
        ).model_copy(update=changes)  # fmt: skip
        self.releases.write("support", self.candidate, "override", override_statement(said))

    def release(self) -> dg.ExecuteInProcessResult:
        resources = {
            "artifacts": artifacts(self.home),
            "control": control(self.home),
            "dataset_store": self.store,
            "serving": SimpleNamespace(state=lambda loop: EndpointState(production=self.production)),
            "signer": self.signer,
            "registry": self.registry,
        }
        return dg.materialize([release_asset.build(self.loop)], instance=self.instance, resources=resources, raise_on_error=False)

    def refusal(self) -> str:
        """Why a release is refused; nothing is signed or registered."""
        result = self.release()
        assert not result.success
        [failure] = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
        assert failure is not None
        assert self.releases.versions("support") == []
        assert self.registry.versions("support") == []
        reasons = failure.metadata.get("reasons")
        return f"{failure.description}: {reasons and reasons.value}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    home = Home(tmp_path / "home")
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(home, loop_config(gates=[GATE], release=RULES), instance)


def test_what_passed_every_gate_is_signed_registered_and_tagged(world: World) -> None:
    report = world.evaluated()
    assert world.release().success
    _, _, predicate = read_statement(world.releases.read("support", world.candidate).payload)
    assert (predicate["verdicts"], predicate["report_digest"], predicate["compared_with"]) == ({NAME: "PASS"}, report, PRODUCTION)
    assert predicate["audit"] == {"entries": 0, "head": "0" * 64}, "nothing had been decided before"
    [registered] = world.registry.versions("support")
    assert (registered.digest, registered.aliases) == (world.candidate, ("candidate",))
    assert world.store.resolve(f"release/support/{world.candidate[:12]}") == world.dataset


def test_the_pack_of_a_release_is_made_once_of_what_was_signed_and_an_older_release_gets_one(world: World) -> None:
    world.evaluated()
    assert world.release().success
    payload = world.releases.payload("support", world.candidate)
    [folder] = (world.home.root / "packs" / "support").iterdir()
    assert folder.name == hashlib.sha256(payload).hexdigest()
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    kind, subjects, named = read_statement(world.signer.verify(made.pop(MANIFEST)))
    assert (kind, named["attestation"]) == (PACK_TYPE, folder.name)
    assert subjects == {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    assert made[ATTESTATION] == (world.home.releases / "support" / f"{world.candidate}.dsse.json").read_bytes()
    files = json.loads(b64decode(json.loads(made.pop(MODEL_SIGNATURE))["dsseEnvelope"]["payload"]))["predicate"]["resources"]
    version = world.home.versions / world.candidate
    assert {each["name"] for each in files} == {path.relative_to(version).as_posix() for path in version.rglob("*") if path.is_file()}
    shutil.rmtree(folder)  # a release as earlier releases of ftassets made it
    assert world.release().success
    assert world.releases.payload("support", world.candidate) == payload
    again = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in (MANIFEST, MODEL_SIGNATURE)}
    assert again == made, "the same release, the same bytes"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert world.release().success
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_pack_that_other_code_makes_later_does_not_list_its_packages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.evaluated()
    assert world.release().success
    [folder] = (world.home.root / "packs" / "support").iterdir()
    assert (folder / SOFTWARE_BILL).exists()
    shutil.rmtree(folder)
    monkeypatch.setattr("ftassets.assets._shared.release_pack.code_identity", lambda: {"code_digest": "0" * 64})
    made = world.release()
    [said] = [event.materialization.metadata["pack"].value for event in made.get_asset_materialization_events()]
    assert f"without {SOFTWARE_BILL}: made later by other code" in said
    assert not (folder / SOFTWARE_BILL).exists()
    _, subjects, _ = read_statement(world.signer.verify((folder / MANIFEST).read_bytes()))
    assert set(subjects) == {path.name for path in folder.iterdir()} - {MANIFEST}


def test_an_error_of_the_pack_leaves_the_release_registered_and_the_next_run_makes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.evaluated()
    with monkeypatch.context() as broken:
        broken.setattr("ftassets.assets._shared.release_pack.installed_packages", lambda: 1 / 0)
        made = world.release()
    assert made.success
    [said] = [event.materialization.metadata["pack"].value for event in made.get_asset_materialization_events()]
    assert said == "not made: ZeroDivisionError: division by zero; materialize release again"
    assert world.registry.versions("support")[0].aliases == ("candidate",)
    assert not (world.home.root / "packs").exists()
    assert world.release().success
    assert list((world.home.root / "packs" / "support").iterdir())


def test_a_failed_gate_is_refused(world: World) -> None:
    world.evaluated(right=10, passed=False)
    assert f"{{'{NAME}': 'failed'}}" in world.refusal()


def test_a_report_that_would_pass_is_refused_while_its_check_did_not_run(world: World) -> None:
    world.evaluated(check=False)
    assert f"{{'{NAME}': 'not evaluated'}}" in world.refusal()


def test_a_check_that_passed_is_not_believed_against_the_report(world: World) -> None:
    world.evaluated(right=10, passed=True)
    assert "the report does not pass the gates" in world.refusal()


def test_a_report_that_was_edited_is_refused(world: World) -> None:
    digest = world.evaluated()
    path = world.home.reports / "support" / f"eval-{digest}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "golden_uses": 2}))
    assert "was changed after it was written" in world.refusal()


def test_an_older_report_that_passed_is_not_taken_up_again(world: World) -> None:
    older = world.evaluated()
    world.evaluated(right=10, passed=False)
    world.evaluated(digest=older)
    assert "the newest eval_report does not come from the run that made it" in world.refusal()


def test_a_looser_policy_after_the_report_is_refused(world: World) -> None:
    world.evaluated()
    world.loop = loop_config(gates=[{**GATE, "margin": 0.9}], release=RULES)
    assert [gate.name for gate in world.loop.gates] == [NAME]
    assert "the gates of the loop were changed after the report" in world.refusal()


@pytest.mark.parametrize("made", [None, 2.0])
def test_an_error_budget_that_was_set_or_lowered_after_the_report_is_refused(world: World, made: float | None) -> None:
    budget = None if made is None else Spending(per_year=made, level=0.05, left=0.1, spent=0.05, decisions=1)
    world.evaluated(gate_rule=RULE, error_budget=budget)
    assert "the loop's error budget was set or lowered after the report" in world.refusal()
    world.loop = loop_config(gates=[GATE], release={**RULES, "bad_promotions_a_year": made})
    assert world.release().success


def test_a_report_of_before_there_were_error_budgets_stays_valid(world: World) -> None:
    world.evaluated(gate_rule=2, error_budget=None, golden_commit=world.golden())
    assert world.release().success


def test_a_report_by_a_rule_that_counted_each_row_of_a_conversation_is_refused(world: World) -> None:
    linked = {str(n): "conversation:one" for n in range(3)}
    world.evaluated(gate_rule=4, golden_commit=world.golden(linked))
    assert "each row of a conversation counted when the report was made, by gate rule 4" in world.refusal()
    world.evaluated(gate_rule=4, golden_commit="0" * 40)
    assert not world.release().success, "golden rows that cannot be read are no reason to release"
    world.evaluated(gate_rule=RULE, golden_commit=world.golden(linked))
    assert world.release().success


def test_an_adapter_newer_than_the_report_is_refused(world: World) -> None:
    world.evaluated()
    world.trained(world.made("c"))
    assert "a newer adapter exists than the one in the report" in world.refusal()


@pytest.mark.parametrize("now", ["c" * 64, None])
def test_another_production_than_the_report_compared_with_is_refused(world: World, now: str | None) -> None:
    world.evaluated()
    world.production = now
    assert "production is no longer the version the report compared with" in world.refusal()


def test_a_version_that_was_changed_after_its_evaluation_is_refused(world: World) -> None:
    world.evaluated()
    (world.home.versions / world.candidate / "merged" / "model.safetensors").write_text("others")
    assert "model.safetensors is missing or was changed" in world.refusal()


def test_a_report_made_with_other_generation_settings_is_refused(world: World) -> None:
    world.evaluated(generation={"temperature": 1.0, "max_tokens": 32})
    assert "made with other generation settings" in world.refusal()


def test_evidence_that_is_too_old_to_start_with_is_not_released(world: World) -> None:
    world.loop = loop_config(gates=[GATE], release={**RULES, "valid_for": "1s"})
    world.evaluated()
    time.sleep(1.1)
    assert not (result := world.release()).success
    [failure] = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert failure is not None
    assert failure.description == "release refused: the attestation does not allow this version"
    assert world.registry.versions("support") == []


def test_an_override_of_a_failed_gate_is_in_the_attestation(world: World) -> None:
    world.overridden(world.evaluated(right=10, passed=False))
    assert world.release().success
    _, _, predicate = read_statement(world.releases.read("support", world.candidate).payload)
    assert (predicate["verdicts"], predicate["override"]["name"]) == ({NAME: "FAIL"}, "anna")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "ben", "role": "intern"}, "ben is intern"),
        ({"role": "intern"}, "anna signed as intern"),
        ({"expires_at": 1}, "the override has expired"),
        ({"gates": {NAME: "NOT ENOUGH DATA"}}, f"does not name {NAME} with its verdict FAIL"),
        ({"report_digest": "e" * 64}, f"'{NAME}': 'failed'"),
        ({"gates": {"another": "FAIL"}}, f"does not name {NAME}"),
    ],
)
def test_an_override_that_does_not_count_releases_nothing(world: World, changes: dict[str, Any], why: str) -> None:
    report = world.evaluated(right=10, passed=False)
    world.overridden(report, **changes)
    assert why in world.refusal()


def test_an_override_forgives_no_gate_that_was_not_evaluated(world: World) -> None:
    world.overridden(world.evaluated(right=10, check=False))
    assert f"{{'{NAME}': 'not evaluated'}}" in world.refusal()


def test_an_override_whose_key_was_revoked_releases_nothing(world: World) -> None:
    world.overridden(world.evaluated(right=10, passed=False))
    old = world.signer.key_id
    world.signer.rotate()
    world.signer.revoke(old, "laptop lost")
    assert "the override of this version does not count: the key" in world.refusal()


REFUSED = {**ACCEPTED, "enough_rows": Check(passed=False, sentence="40 rows are too few")}


def candidate_of(world: World, version: str, **report: Any) -> str:
    """Make a version the newest adapter and the one in the report; returns why it is refused."""
    world.candidate = version
    world.trained(version)
    world.evaluated(candidate=version, **report)
    return world.refusal()


def test_a_version_that_was_trained_on_a_refused_dataset_is_not_released(world: World) -> None:
    refused = world.curated("refused", REFUSED)
    why = candidate_of(world, world.made("b", refused), dataset_commit=refused)
    assert f"the version in the report, {world.candidate[:12]}, is not accepted" in why
    assert f"'dataset {refused[:12]}': 'enough_rows: 40 rows are too few'" in why


def test_a_version_whose_loss_did_not_fall_is_not_released(world: World) -> None:
    assert "'loss_fell': 'loss 1.000 at the start, 1.500 at the end'" in candidate_of(world, world.made("b", first=1.0, last=1.5))


def test_a_version_of_another_loop_is_not_released(world: World) -> None:
    assert "it was not trained for support" in candidate_of(world, world.made("b", loop="other"))


def test_an_override_forgives_no_refused_dataset(world: World) -> None:
    refused = world.curated("refused", REFUSED)
    world.candidate = world.made("b", refused)
    world.trained(world.candidate)
    world.overridden(world.evaluated(right=10, passed=False, candidate=world.candidate, dataset_commit=refused))
    assert "is not accepted" in world.refusal()


def test_a_report_that_names_another_dataset_than_the_version_was_trained_on_is_refused(world: World) -> None:
    world.evaluated(dataset_commit=world.curated("other", rows=4))
    assert "the report names another dataset than the version was trained on" in world.refusal()


def test_a_newer_adapter_that_was_refused_does_not_hold_up_the_accepted_one(world: World) -> None:
    world.evaluated()
    world.trained(world.made("b", first=1.0, last=1.5))
    assert world.release().success
