"""A sweep proposes a recipe with its evidence, and changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftassets.assets._shared.events import metadata_value, newest, node
from ftassets.assets.recipe_proposal import verdict
from ftassets.domain.training.sweep import Best
from ftassets.testing.tiny_loop import LOOP, tiny_loop
from ftassets_tests import ROOT
from ftassets_tests.docs.test_data_model import undocumented


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (
            Best(4, 9, 1.2, 0.05, 0.3, 0.2),
            r"^PASS: the lowest of 9 validation losses is 1\.2000.*as the best of 9 .* 0\.0500 .*at least 0\.2000",
        ),
        (Best(4, 9, 1.2, 0.05, 0.1, -0.1), r"^NOT ENOUGH DATA: .*at least -0\.1000 with 95 % confidence$"),
        (Best(0, 9, 1.2, 0.05, 0.0, 0.0), r"^PASS: the loop's own recipe is the best"),
    ],
)
def test_the_verdict_says_what_was_shown(best: Best, words: str) -> None:
    import re

    assert re.search(words, verdict(best, own=0))


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(300)
def test_a_recipe_is_proposed_and_no_job_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="needs the extra sweep: pip install 'ftassets[sweep]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    sweep = {"trials": 3, "learning_rate": [0.0001, 0.01], "lora_r": [4], "epochs": []}
    with tiny_loop(tmp_path, sweep=sweep) as tiny:
        graph = tiny.definitions()
        key = node(LOOP, "recipe_proposal")
        assert key in {spec.key for spec in graph.resolve_all_asset_specs()}
        jobs = [job for job in graph.resolve_all_job_defs() if job.name.startswith(f"{LOOP}__")]
        assert len(jobs) > 3
        assert not [job.name for job in jobs if key in job.asset_layer.selected_asset_keys]
        assert tiny.materialize("seed_examples", "golden_set", "curated_dataset").success
        assert tiny.materialize("recipe_proposal").success
        event = newest(tiny.instance, key)
        assert event is not None
        assert metadata_value(event, "ended") == "3 recipes were tried, as sweep.trials asks for"
        assert str(metadata_value(event, "verdict")).startswith(("PASS", "NOT ENOUGH DATA"))
        recipes: Any = event.metadata["recipes"]
        assert len(recipes.records) == 3
        assert "data:image/png" in event.metadata["curves"].value
        kinds = {json.loads(path.read_bytes())["kind"] for path in tiny.home.versions.glob("*/manifest.json")}
        assert kinds == {"base"}, "it publishes no version"
        assert not undocumented(tiny.home.root)
