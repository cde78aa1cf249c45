"""Two versions side by side, from what the stores of a home hold."""

from pathlib import Path

import pytest

from ftassets.assets._shared.dataset_files import dataset_objects
from ftassets.assets._shared.stored_reports import policy_digest
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.artifacts.versions import publish
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.backends.signer.folder import FolderSigner
from ftassets.cli.commands.compare import run, table
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts, control
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import ToolCall
from ftassets.domain.evaluation.scoring import score
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.adoption import adopted_statement
from ftassets.domain.release.version import VersionManifest, score_tags, version_tags
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.releases import loop_config

LOOP = loop_config("support")
BASE = "b" * 64


def version(home: Home, weights: str, commit: str | None, **recipe: object) -> VersionManifest:
    staging = home.root / f"staging-{weights}"
    for part in ("adapter", "merged"):
        (staging / part).mkdir(parents=True)
        (staging / part / "model.safetensors").write_text(weights)
    manifest = VersionManifest(
        kind="adapter", base_model="tiny", base_digest=BASE, files=file_digests(staging), tokenizer_digest="0" * 64,
        generation={"temperature": 0.0}, dataset_commit=commit, dataset_hash="h1", loop="support", lineage="goes on from x", made_at=1e9,
        recipe={"lora_r": 4, "epochs": 1, "system_prompt": "s", "start_from": None, **recipe}, metrics={"train_seconds": 12.5},
    )  # fmt: skip
    publish(artifacts(home), staging, manifest)
    return manifest


def dataset(store: GitDatasetStore, name: str, ids: range) -> str:
    rows = [Example(id=f"row-{n}", messages=question(f"question {n}"), completion="{}") for n in ids]
    wanted = {"train": rows[2:], "validation": rows[:1], "test": rows[1:2]}
    return store.publish(name, dataset_objects(store, "support", wanted, [], {}, {}, name), name, {}).commit


def report(candidate: str, production: str, right: dict[str, int], commit: str = "c1", golden: str = "g1") -> EvalReport:
    """Of ten rows a slice, the first `right` of each role are right."""
    scores = {
        role: [
            score(f"{part}-{n}", part, '{"intent": "A"}' if n < count else '{"intent": "B"}', '{"intent": "A"}', ToolCall())
            for part in ("established", "held_out")
            for n in range(10)
        ]
        for role, count in right.items()
    }
    return EvalReport(
        loop="support", run_id="r", candidate=candidate, production=production, production_is_base=production == BASE, base=BASE,
        dataset_commit=commit, golden_commit=golden, policy_digest=policy_digest(LOOP), generation={}, scores=scores, latency_ms={},
        answers={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    folder: Path = tmp_path_factory.mktemp("mlflow")
    return MlflowRegistry(mlflow_tables(folder), folder / "artifacts")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def where(home: Home) -> tuple[Artifacts, Control]:
    return artifacts(home), control(home)


def test_two_trained_versions_and_where_they_differ(home: Home, registry: MlflowRegistry) -> None:
    store, signer = GitDatasetStore(home.datasets), FolderSigner(home.keys)
    first = version(home, "one", dataset(store, "d1", range(0, 10)), lora_r=4)
    second = version(home, "two", dataset(store, "d2", range(0, 16)), lora_r=8, start_from=first.digest)
    made = report(second.digest, first.digest, {"base": 0, "production": 6, "candidate": 9})
    store_eval_report(artifacts(home), report(first.digest, BASE, {"base": 0, "production": 0, "candidate": 5}, golden="g0"))
    store_eval_report(artifacts(home), made)
    for manifest, name in ((first, "tiny-d1"), (second, "tiny-d2")):
        registry.register("support", name, manifest.digest, None, {**version_tags(manifest), **score_tags(made.scores["candidate"])})
    registry.tag("support", second.digest, {"history": '[{"part": "production", "at": "2026-01-01", "by": "anna", "reason": "better"}]'})

    found = run(*where(home), {"support": LOOP}, registry, store, signer, first.digest[:8], "tiny-d2")
    assert (found["a"]["digest"], found["b"]["digest"]) == (first.digest, second.digest)
    assert found["training"] == {"lora_r": (4, 8)}
    assert found["dataset"]["rows"]["train"] == {"a": 8, "b": 14, "added": 6, "removed": 0}
    assert found["scores"]["established"] == {"a": 0.6, "b": 0.9, "rows": 10}, "from the report that measured both"
    assert found["scores_note"] == "both on the same rows, in one report"
    assert found["b"]["parent"] == first.digest
    assert set(found["b"]["gates"].values()) <= {"PASS", "FAIL", "NOT ENOUGH DATA"}
    assert found["b"]["gates"]
    assert found["a"]["adapter_bytes"] == 3
    lines = {what: (a, b) for what, a, b in table(found)}
    assert lines["training: lora_r"] == ("4", "8")
    assert lines["rows: train"] == ("8", "14 (+6 -0)")
    assert lines["history"] == ("", "2026-01-01 production by anna: better")
    assert lines["made_at"][0] == "2001-09-09T01:46:40+00:00"

    tags = next(v.tags for v in registry.versions("support") if v.digest == second.digest)
    assert tags["training"] == '{"epochs":1,"lora_r":8}'
    assert (tags["parent"], tags["dataset_hash"]) == (first.digest, "h1")
    assert tags["scores"] == '{"established":{"exact_match":0.9,"rows":10},"held_out":{"exact_match":0.9,"rows":10}}'


def test_scores_of_different_golden_sets_are_said_to_be(home: Home, registry: MlflowRegistry) -> None:
    first, second = version(home, "three", None), version(home, "four", None)
    store_eval_report(artifacts(home), report(first.digest, BASE, {"base": 0, "production": 0, "candidate": 5}, golden="g0"))
    store_eval_report(artifacts(home), report(second.digest, BASE, {"base": 0, "production": 0, "candidate": 6}))
    signer = FolderSigner(home.keys)
    Releases(control(home), signer).write(
        "support", first.digest, "release", adopted_statement(LOOP, first, "anna", "it serves", 1e9, {}, {})
    )
    found = run(
        artifacts(home), control(home), {"support": LOOP}, registry, GitDatasetStore(home.datasets), signer, first.digest, second.digest
    )
    assert found["scores_note"] == "measured on different golden sets: compare with care"
    assert found["dataset"] == {"note": "not both versions name a dataset"}
    assert (found["a"]["gates"], bool(found["b"]["gates"])) == ({}, True), "adopted: no verdicts; not released: what its report says"


@pytest.mark.parametrize(("text", "why"), [("", "names no version"), ("zz", "'zz' names no version")])
def test_a_text_that_names_no_version_is_refused(home: Home, registry: MlflowRegistry, text: str, why: str) -> None:
    version(home, "five", None)
    with pytest.raises(ValueError, match=why):
        run(
            artifacts(home),
            control(home),
            {"support": LOOP},
            registry,
            GitDatasetStore(home.datasets),
            FolderSigner(home.keys),
            text,
            text,
        )


def test_a_beginning_several_versions_share_is_refused(home: Home, registry: MlflowRegistry) -> None:
    digests: dict[str, str] = {}
    for number in range(17):  # two of seventeen begin with the same of sixteen digits
        digest = version(home, f"many-{number}", None).digest
        if digest[0] in digests:
            break
        digests[digest[0]] = digest
    with pytest.raises(ValueError, match="begins 2 names where one version is wanted"):
        run(
            artifacts(home),
            control(home),
            {"support": LOOP},
            registry,
            GitDatasetStore(home.datasets),
            FolderSigner(home.keys),
            digest[0],
            digest,
        )
