"""A home with golden rows, a dataset, an untuned base and a candidate: what an evaluation needs, without any training."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ftassets.assets._shared.dataset_files import dataset_objects, golden_path, to_parquet
from ftassets.assets.eval_report.forgetting import forgetting_job
from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.artifacts.versions import publish
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts
from ftassets.domain.dataset.rows import Example, parse_jsonl
from ftassets.domain.release.version import VersionManifest
from ftassets.gate_service.admission import job_for
from ftassets.gate_service.contract import EvaluateRequest, EvaluationJob
from ftassets.testing.releases import ACCEPTED
from ftassets.testing.tiny_loop import LOOP, rows, tiny_config

ADAPTER_FILES = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors")


@dataclass
class World:
    """The pieces a test works with."""

    home: Home
    loop: LoopConfig
    store: GitDatasetStore
    golden: list[Example]
    golden_commit: str
    base: str
    candidate: str

    def request(self, **changes: object) -> dict:
        return {"model_path": self.candidate, "golden_set_id": LOOP, "baseline_f1": 0.5, "threshold": 0.05, **changes}

    def job(self, **changes: object) -> EvaluationJob:
        request = EvaluateRequest.model_validate(self.request(**changes))
        return job_for(request, self.home, artifacts(self.home), {LOOP: self.loop}, self.store)


def make_world(folder: Path, base: Path | None = None, candidate: Path | None = None, **changes: object) -> World:
    """`base` and `candidate` are folders with merged weights; without them the versions have no model that could be loaded."""
    home = Home(folder / "home")
    loop = tiny_config(folder, folder / "base", **changes)
    store = GitDatasetStore(home.datasets)
    golden, _ = parse_jsonl(loop.golden_set.read_text(), "golden")
    held_out, _ = parse_jsonl(rows(("light",), "held"), "seed")
    commit = store.publish("golden", {golden_path(LOOP): to_parquet(golden)}, "golden set", {}).commit
    splits = {"train": golden[:0], "validation": golden[:0], "test": held_out}
    objects = dataset_objects(store, LOOP, splits, [], {}, {}, "a", checks=ACCEPTED)
    dataset = store.publish("dataset", objects, "dataset", {}).commit
    base_digest = make_version(home, base, "base", kind="base")
    made = make_version(home, candidate, "candidate", *ADAPTER_FILES, base_digest=base_digest, dataset_commit=dataset)
    return World(home, loop, store, golden, commit, base_digest, made)


def make_version(home: Home, merged: Path | None, name: str, *more: str, kind: str = "adapter", **manifest: object) -> str:
    """A published version: merged weights (or files that only look like them) and further files; its digest."""
    staging = home.root / f"staging-{name}"
    if merged:
        shutil.copytree(merged, staging / "merged")
    for path in more if merged else ("merged/config.json", "merged/model.safetensors", *more):
        (staging / path).parent.mkdir(parents=True, exist_ok=True)
        (staging / path).write_text(f"{path} of {name}")
    stated = VersionManifest(
        kind=kind, base_model="tiny", files=file_digests(staging), tokenizer_digest="0" * 64, generation={}, **manifest
    )  # fmt: skip
    return publish(artifacts(home), staging, stated)


def write_answers(path: Path, examples: list[Example], right: float) -> None:
    """An answer file in which the first part of the rows, of every label alike, is right."""
    seen: dict[str, int] = {}
    each = {label: sum(json.loads(row.completion)["intent"] == label for row in examples) for label in ("dim", "open", "light")}
    answers = []
    for row in examples:
        label = json.loads(row.completion)["intent"]
        seen[label] = seen.get(label, 0) + 1
        answers.append(row.completion if seen[label] <= right * each[label] else "{}")
    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(examples)
    table = {"id": [row.id for row in examples], "answer": answers, "tokens_out": [8] * n, "truncated": [False] * n}
    pq.write_table(pa.table(table), path)


def write_divergences(home: Home, base: str, candidates: Iterable[str], production: str | None = None) -> None:
    """For each candidate the file of its divergences on general prompts, a tenth of a nat from the base and from production."""
    for candidate in candidates:
        versions = {"base": base, "production": production or base, "candidate": candidate}
        job = forgetting_job(artifacts(home), versions, home.work)
        assert job is not None
        rows = [{"role": role, "id": prompt.id, "kl": 0.1} for role in job.others for prompt in job.prompts]
        job.output.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), job.output)
