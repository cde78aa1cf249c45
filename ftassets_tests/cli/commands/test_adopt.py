"""A model that serves already becomes a loop's first version; the next one comes from another base model."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from typer.testing import CliRunner

from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.control.releases import Releases
from ftassets.backends.serving.base import ServingError
from ftassets.cli.commands.adopt import Adopted, Adoption, describe
from ftassets.cli.main import app
from ftassets.config import loops_folder
from ftassets.config.loop_files import LoopFiles
from ftassets.config.profiles import artifacts, control
from ftassets.domain.release.adoption import AdoptionRefused, adopted_statement
from ftassets.domain.release.version import ADAPTER
from ftassets.domain.traffic.exchange import hashed_user, keyed_user
from ftassets.testing.tiny_job import tiny_job
from ftassets.testing.tiny_loop import COLOURS, LOOP, ROOMS, TinyLoop, tiny_loop
from ftassets.workers.training.sft import train
from ftassets_tests.workers.training.test_new_base import other_family

pytestmark = pytest.mark.models

QUERIES = [f"{verb} the {colour} lamp in the {room}" for verb in ("dim", "light", "open") for colour in COLOURS for room in ROOMS]


def backend(tiny: TinyLoop, name: str) -> Any:
    return tiny.resources[name].resource_fn(dg.build_init_resource_context())


def adopt(tiny: TinyLoop, adapter: Path, traffic: Path | None = None) -> Adopted:
    log = (backend(tiny, "traffic_log"), traffic, "chat") if traffic else None
    parts = [backend(tiny, name) for name in ("signer", "registry")]
    where = tiny.home, artifacts(tiny.home), control(tiny.home)
    return Adoption(*where, tiny.loop, "anna", "served for a year", tiny.serving, *parts, traffic=log).of_adapter(adapter)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    with tiny_loop(tmp_path_factory.mktemp("tiny")) as loop:
        yield loop


@pytest.fixture(scope="module")
def peft(tiny: TinyLoop, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters of the loop's base, trained elsewhere."""
    folder = tmp_path_factory.mktemp("elsewhere")
    base = Path(tiny.loop.base_model)
    jobs = [tiny_job(folder / f"job-{n}", base, epochs=1, lora_alpha=32, seed=n) for n in range(2)]
    return [job.versions / train(job, lambda _: None).digest / ADAPTER for job in jobs]


@pytest.fixture(scope="module")
def adopted(tiny: TinyLoop, peft: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    log = tmp_path_factory.mktemp("log") / "chat.jsonl"
    turns = [[{"role": "user", "content": text}, {"role": "assistant", "content": "{}"}] for text in QUERIES]
    log.write_text("".join(json.dumps({"id": f"old-{n}", "user": "kim", "messages": turn}) + "\n" for n, turn in enumerate(turns)))
    return adopt(tiny, peft[0], log)


def test_it_is_production_with_its_name_under_it(tiny: TinyLoop, adopted: Adopted) -> None:
    assert tiny.serving.state(LOOP).production == adopted.version
    transition = tiny.serving.journal()[-1]
    assert (transition.by, transition.reason) == ("anna", "adopted: served for a year; adopted without evaluation by anna")
    registered = backend(tiny, "registry").versions(LOOP)[0]
    assert (registered.name, registered.aliases, registered.tags["adopted_by"]) == (adopted.name, ("production",), "anna")
    assert "nothing was evaluated" in describe(adopted, LOOP)
    answer = requests.post(
        f"{tiny.url}/v1/chat/completions", json={"model": LOOP, "messages": [{"role": "user", "content": "dim"}]}, timeout=60
    )
    assert (answer.status_code, answer.headers["x-ftassets-version"]) == (200, adopted.version)


def test_adopting_it_again_changes_nothing_and_another_one_is_refused(tiny: TinyLoop, adopted: Adopted, peft: list[Path]) -> None:
    before = (tiny.serving.state(LOOP), Path(adopted.attestation).read_bytes())
    assert adopt(tiny, peft[0]).version == adopted.version
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTASSETS_HOME", str(tiny.home.root))
        patch.setattr(loops_folder, "read_loop_files", lambda folder: LoopFiles({LOOP: tiny.loop}, {}, []))
        again = CliRunner().invoke(
            app, ["adopt", LOOP, "--adapter", str(peft[0]), "--reason", "served for a year", "--by", "anna", "--json"]
        )
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["version"] == adopted.version
    with pytest.raises(AdoptionRefused, match="has a production version"):
        adopt(tiny, peft[1])
    assert (tiny.serving.state(LOOP), Path(adopted.attestation).read_bytes()) == before


def test_its_reference_is_made_of_its_own_traffic(tiny: TinyLoop, adopted: Adopted) -> None:
    assert adopted.traffic is not None
    assert adopted.traffic.stored == len(QUERIES)
    gateway = keyed_user(hashed_user("kim"), tiny.home.user_secret())
    assert {row.user for row in backend(tiny, "traffic_log").exchanges(LOOP, limit=5)} == {gateway}
    assert tiny.run("watch").success
    report = newest(tiny.instance, node(LOOP, "drift_report"))
    assert report is not None
    assert metadata_value(report, "reference_queries") == 100, "two windows of fifty: what a comparison needs"


@pytest.mark.timeout(180)
def test_a_new_base_model_starts_cold_and_is_compared_with_the_adopted_version(tiny: TinyLoop, adopted: Adopted, tmp_path: Path) -> None:
    old = tiny.loop.base_model
    train_longer = tiny.loop.train.model_copy(update={"max_length": 512})
    tiny.loop = tiny.loop.model_copy(update={"base_model": str(other_family(tmp_path / "base")), "train": train_longer})
    assert tiny.run("retrain").success
    trained = newest(tiny.instance, node(LOOP, "adapter"))
    assert trained is not None
    lineage = f"starts cold (base changed from {old} to {tiny.loop.base_model})"
    assert (metadata_value(trained, "lineage"), metadata_value(trained, "start_from")) == (lineage, "the untuned base")
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, data_version(newest(tiny.instance, node(LOOP, "eval_report"))))
    assert (report.production, report.production_is_base) == (adopted.version, False)
    assert (
        load_manifest(artifacts(tiny.home), report.base).tokenizer_digest
        != load_manifest(artifacts(tiny.home), adopted.version).tokenizer_digest
    )
    tags = next(v.tags for v in backend(tiny, "registry").versions(LOOP) if v.digest == report.candidate)
    assert (tags["lineage"], tags["base_digest"]) == (lineage, report.base)
    assert tags["scores"]

    # a signed adoption gives nobody's place to a candidate
    releases = Releases(control(tiny.home), backend(tiny, "signer"))
    manifest = load_manifest(artifacts(tiny.home), report.candidate)
    kept = Path(releases.uri(LOOP, report.candidate)).read_bytes()
    payload = adopted_statement(tiny.loop, manifest, "eve", "in a hurry", time.time(), {}, {})
    releases.write(LOOP, report.candidate, "release", payload)
    with pytest.raises(ServingError, match="adopted without a verdict"):
        tiny.serving.start(LOOP, report.candidate, 50, 60, "eve", "hurry")
    Path(releases.uri(LOOP, report.candidate)).write_bytes(kept)
    assert tiny.move("start").success
    assert tiny.move("ramp", weight=100).success
    assert tiny.serving.state(LOOP).standby == adopted.version
    assert tiny.move("rollback", reason="back to what served").success
    assert tiny.serving.state(LOOP).production == adopted.version
