"""A loop that samples what it serves: its report has greedy and sampled answers, and a gate may name the sampled ones."""

from collections.abc import Iterator

import dagster as dg
import pytest

from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.assets.eval_report.recompute import NotReproduced, recompute
from ftassets.assets.eval_report.sampled_answers import stored_files
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.profiles import artifacts, control
from ftassets.domain.evaluation.sampled_answers import SAMPLED, SAMPLES
from ftassets.domain.gates.report import HELD_OUT
from ftassets.testing.tiny_loop import LOOP, TinyLoop, tiny_loop

pytestmark = [pytest.mark.slow, pytest.mark.models]
TASK = {"type": "tool_call", "system_prompt": "Answer as JSON.", "max_tokens": 8, "temperature": 2.0}
GATES = [
    {"metric": "exact_match", "no_worse_than": "production", "margin": 0.5},
    {"metric": SAMPLED, "no_worse_than": "production", "margin": 0.5},
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    with tiny_loop(tmp_path_factory.mktemp("tiny"), task=TASK, gates=GATES) as loop:
        assert loop.run("retrain").success
        yield loop


def event(tiny: TinyLoop) -> dg.AssetMaterialization:
    found = newest(tiny.instance, node(LOOP, "eval_report"))
    assert found is not None
    return found


def test_every_row_is_sampled_as_often_by_each_model_and_differently(tiny: TinyLoop) -> None:
    report = read_eval_report(artifacts(tiny.home), LOOP, data_version(event(tiny)))
    assert report.sampled is not None
    assert (report.sampled.temperature, report.sampled.samples) == (2.0, SAMPLES)
    assert report.sampled.decoding[report.candidate] == {"do_sample": True, "temperature": 2.0, "top_k": 0, "top_p": 1.0}
    for role in ("base", "production", "candidate"):
        assert {score.slice for score in report.scores[role]} == {"established", "drifted", HELD_OUT}
        assert all(SAMPLED in score.values and score.values[SAMPLED] * SAMPLES % 1 == 0 for score in report.scores[role])
        assert len({names[0] for names in report.sampled.answers[role]}) == SAMPLES
    contents = {path.read_bytes() for path in stored_files(artifacts(tiny.home), report.sampled)}
    assert len(contents) > 2  # of golden and held-out rows: seeds give other answers
    assert {path.name for path in stored_files(artifacts(tiny.home), report.sampled)} <= report.answers_digests.keys()


def test_the_page_shows_both_and_says_which_gates_use(tiny: TinyLoop) -> None:
    said = str(metadata_value(event(tiny), "sampled"))
    assert said == f"{SAMPLES} answers a row at temperature 2, seeds 0 to 3. Gates compare greedy answers, but for 1 gate on {SAMPLED}"
    table = event(tiny).metadata["sampled_answers"]
    assert isinstance(table, dg.TableMetadataValue)
    lines = [record.data for record in table.records]
    assert {(line["slice"], line["model"]) for line in lines} == {
        (name, role) for name in ("established", "drifted", HELD_OUT) for role in ("base", "production", "candidate")
    }
    assert all("(" in str(line["greedy"]) and "(" in str(line["sampled"]) for line in lines)


def test_the_report_is_computed_again_from_the_stored_samples(tiny: TinyLoop) -> None:
    digest, store = data_version(event(tiny)), GitDatasetStore(tiny.home.datasets)
    kept, told = artifacts(tiny.home), control(tiny.home)
    made, results = recompute(kept, told, tiny.loop, store, digest)
    assert made == read_eval_report(kept, LOOP, digest)
    assert {result.name: result.verdict.value for result in results}[f"{SAMPLED}_no_worse"] == "PASS"
    victim = sorted(stored_files(kept, made.sampled))[0]
    before = victim.read_bytes()
    victim.write_bytes(before + b"x")
    try:
        with pytest.raises(NotReproduced, match="was changed after the report"):
            recompute(kept, told, tiny.loop, store, digest)
    finally:
        victim.write_bytes(before)
