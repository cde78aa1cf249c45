"""A training on preferences in a whole loop: its version is the candidate only if it proved to be better."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.backends.artifacts.reports import find_report, read_report
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.config.profiles import artifacts, embedded
from ftassets.domain.gates.alignment import Alignment, decide
from ftassets.domain.gates.result import Verdict
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.testing.tiny_loop import COLOURS, LOOP, ROOMS, TinyLoop, right_answer, tiny_loop

pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.timeout(600)]

SETTINGS = {"min_rows": 20, "margin": 0.9, "confidence": 0.6, "learning_rate": 0.01, "epochs": 3, "held_out": 0.3}


@contextmanager
def aligned_loop(folder: Path, **align: Any) -> Iterator[TinyLoop]:
    """A loop whose gates ask no server, and that trains on preferences."""
    gates = [{"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.9}]
    with tiny_loop(folder, gates=gates, align={**SETTINGS, "method": "dpo", **align}) as tiny:
        yield tiny


def correct(tiny: TinyLoop, verb: str = "open") -> None:
    """Users of this verb get a wrong room, and correct it."""
    log, now = embedded(tiny.home)["traffic_log"](), time.time()
    for number, (colour, room) in enumerate((colour, room) for colour in COLOURS for room in ROOMS):
        name, prompt = f"{verb}-{number}", f"{verb} the {colour} lamp in the {room} kindly"
        wrong = right_answer(verb, ROOMS[(number + 3) % len(ROOMS)])
        messages = json.dumps([{"role": "user", "content": prompt}])
        log.append([Exchange(name, LOOP, "a" * 64, f"user-{number}", prompt, messages, wrong, 200, now - 60, 1.0, 1.0, 9, 9, 100.0)])
        log.add_feedback(Feedback(name, now - 30, "down", right_answer(verb, room)))


def event(tiny: TinyLoop, name: str) -> Any:
    found = newest(tiny.instance, node(LOOP, name))
    assert found is not None
    return found


def test_a_version_that_proved_to_be_better_is_the_candidate_and_the_next_cycle_continues_from_it(tmp_path: Path) -> None:
    with aligned_loop(tmp_path) as tiny:
        correct(tiny)
        assert tiny.run("retrain").success
        made = event(tiny, "aligned_adapter")
        verdict, tuned, aligned = str(metadata_value(made, "verdict")), data_version(event(tiny, "adapter")), data_version(made)
        assert verdict.startswith("PASS: the chosen answer gained on the rejected one in"), verdict
        assert aligned != tuned
        manifest = load_manifest(artifacts(tiny.home), aligned)
        assert manifest.parent == tuned
        assert manifest.recipe["align"]["preferences_commit"].startswith(str(metadata_value(made, "preferences_commit")))
        assert metadata_value(event(tiny, "eval_report"), "candidate") == aligned[:12]
        assert data_version(event(tiny, "release")) == aligned, "released and signed like any other"

        report = find_report(artifacts(tiny.home), LOOP, "alignment", str(metadata_value(made, "alignment")))
        stored = Alignment.parse(read_report(artifacts(tiny.home), LOOP, "alignment", report))
        assert tiny.loop.align is not None
        assert f"PASS: {decide(stored, tiny.loop.align).sentence}" == verdict, "the decision is computed again from what is stored"
        assert "kindly" not in json.dumps(stored.document()), "no words of users"

        assert tiny.move("start").success
        assert tiny.serving.state(LOOP).production == aligned
        correct(tiny, "light")
        assert tiny.materialize("curated_dataset", "adapter").success
        again = load_manifest(artifacts(tiny.home), data_version(event(tiny, "adapter")))
        assert again.parent == aligned, "fine-tuning continues from what production serves"
        assert "align" not in again.recipe


@pytest.mark.parametrize(("method", "what"), [("dpo", "preference pairs"), ("kto", "rated answers")])
def test_with_few_preferences_nothing_is_trained_and_the_fine_tuned_version_is_the_candidate(
    tmp_path: Path, method: str, what: str
) -> None:
    with aligned_loop(tmp_path, method=method, min_rows=1000) as tiny:
        correct(tiny)
        assert tiny.run("retrain").success
        made, tuned = event(tiny, "aligned_adapter"), data_version(event(tiny, "adapter"))
        assert data_version(made) == tuned
        verdict = str(metadata_value(made, "verdict"))
        assert verdict.startswith("NOT ENOUGH DATA: ")
        assert f"{what} that can be used, align.min_rows is 1000" in verdict
        assert data_version(event(tiny, "release")) == tuned
        versions = {load_manifest(artifacts(tiny.home), path.name).kind for path in tiny.home.versions.glob("*") if len(path.name) == 64}
        assert versions == {"base", "adapter"}


def test_a_training_on_preferences_that_diverges_leaves_the_fine_tuned_version(tmp_path: Path) -> None:
    with aligned_loop(tmp_path, learning_rate=0.9, epochs=10, beta=5) as tiny:
        tiny.loop = tiny.loop.model_copy(update={"train": tiny.loop.train.model_copy(update={"loss_limit": 1.01, "max_grad_norm": 1000})})
        correct(tiny)
        assert tiny.materialize("seed_examples", "golden_set", "curated_dataset", "preference_pairs", "adapter", "aligned_adapter").success
        made = event(tiny, "aligned_adapter")
        assert data_version(made) == data_version(event(tiny, "adapter"))
        assert str(metadata_value(made, "verdict")).startswith("FAIL: ")


def test_thumbs_without_a_pair_are_trained_on_by_kto_and_what_is_measured_decides(tmp_path: Path) -> None:
    with aligned_loop(tmp_path, method="kto") as tiny:
        correct(tiny)
        assert tiny.run("retrain").success
        made = event(tiny, "aligned_adapter")
        verdict = str(metadata_value(made, "verdict"))
        assert "answers rated up gained on those rated down in" in verdict
        wanted = "aligned" if verdict.startswith(Verdict.PASS.value) else "tuned"
        assert data_version(made)[:12] == metadata_value(made, wanted)
