"""A seed's retrain without processes, with a tiny model in place of the demo's."""

from pathlib import Path

import pytest

from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.config.profiles import artifacts, embedded, traffic_log
from ftassets.demo.rehearsal import RehearsalFailed, first_version, rehearse, rehearsed
from ftassets.demo.traffic import DRIFTED_REQUESTS
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.tiny_loop import EvaluatorHere, TrainerHere, taught_model

pytestmark = [pytest.mark.slow, pytest.mark.models]

PARTS = {"trainer": TrainerHere(), "evaluator": EvaluatorHere(), "embedder_of": lambda settings: HashEmbedder()}


def small(tmp_path: Path) -> LoopConfig:
    """The demo's loop with a part of its rows, and a model that knows nothing."""
    shipped = read_loops(LOOPS)["voice_commands"]
    golden = shipped.golden_set.read_text().splitlines(keepends=True)
    (tmp_path / "golden.jsonl").write_text("".join([*golden[:12], *golden[-12:]]))
    (tmp_path / "seed.jsonl").write_text("".join(shipped.dataset.seed.read_text().splitlines(keepends=True)[:60]))
    return shipped.model_copy(
        update={
            "base_model": str(taught_model(tmp_path / "base", "{}")),
            "golden_set": tmp_path / "golden.jsonl",
            "dataset": shipped.dataset.model_copy(update={"seed": tmp_path / "seed.jsonl", "min_rows": 10}),
            "task": shipped.task.model_copy(update={"max_tokens": 4}),
            "train": shipped.train.model_copy(update={"epochs": 1, "lora_r": 4, "loss_limit": 10.0}),
        }
    )


@pytest.mark.timeout(300)
def test_a_seed_is_curated_trained_and_evaluated_in_a_copy_of_the_first_version_s_home(tmp_path: Path) -> None:
    loop = rehearsed(small(tmp_path))
    assert {gate.metric for gate in loop.gates} == {"exact_match"}, "no gate that needs a server"
    first, home = Home(tmp_path / "first"), Home(tmp_path / "seed-3")
    first.root.mkdir()
    mlflow_tables(first.root)
    production = first_version(first, loop, PARTS)
    before = embedded(first)["dataset_store"]().resolve("main")

    found = rehearse(3, first, production, home, loop, PARTS)
    assert found.seed == 3
    assert found.accuracy.keys() == {"production", "candidate"}
    assert all(0 <= share <= 1 for shares in found.accuracy.values() for share in shares.values())
    assert 0.8 * DRIFTED_REQUESTS < found.corrections <= DRIFTED_REQUESTS
    assert 0 < found.wrong < 0.15 * found.corrections
    assert found.rows > loop.retrain_on.min_new_labels > 0, "what users corrected is in the dataset"
    assert found.verdicts.keys() == {gate.name for gate in loop.gates}
    assert traffic_log(home).count(loop.name) == 60 + 4 * 60 + DRIFTED_REQUESTS

    assert embedded(first)["dataset_store"]().resolve("main") == before, "each seed starts from the same state"
    assert traffic_log(first).count(loop.name) == 0
    assert len(artifacts(first).names("versions")) < len(artifacts(home).names("versions"))


def test_a_step_that_makes_nothing_is_named(tmp_path: Path) -> None:
    loop = small(tmp_path)
    home = Home(tmp_path / "first")
    (tmp_path / "seed.jsonl").write_text("no json\n")
    with pytest.raises(RehearsalFailed, match="seed_examples was not materialized"):
        first_version(home, rehearsed(loop), PARTS)
