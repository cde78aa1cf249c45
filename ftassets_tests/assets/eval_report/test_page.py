"""Golden conversations from the dataset store to scores and the page, and what the page says of an LLM judge."""

import json
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftassets.assets._shared.dataset_files import golden_path, read_evaluation_rows, scored_golden, to_parquet
from ftassets.assets.eval_report.page import _judge_table, _turns_table, near_copies_sentence
from ftassets.assets.eval_report.rows import Rows, RowSet, scores_of
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import conversation, question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.conversations import linked
from ftassets.domain.evaluation.llm_judge import Calibration, LabelledChoice, PairwiseScore
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets_tests.domain.gates.reports import report
from ftassets_tests.domain.gates.reports import rows as scored

TWO = Example(
    id="two",
    messages=conversation(
        [
            {"role": "user", "content": "a timer"},
            {"role": "assistant", "content": '{"intent": "ask"}'},
            {"role": "user", "content": "5 minutes"},
        ]
    ),
    completion='{"intent": "timer"}',
)
ONE = Example(id="one", messages=question("lights on"), completion='{"intent": "light"}')


def loop(turns: str) -> LoopConfig:
    gates = [{"metric": "exact_match", "better_than": "production"}]
    settings = {"name": "l", "base_model": "m", "task": {"system_prompt": "x"}, "golden_set": "g", "dataset": {"seed": "s"}, "gates": gates}
    return LoopConfig.model_validate({**settings, "golden_turns": turns})


@pytest.fixture
def store(tmp_path: Path) -> tuple[GitDatasetStore, str]:
    made = GitDatasetStore(tmp_path / "store")
    return made, made.publish("run", {golden_path("l"): to_parquet([TWO, ONE])}, "golden", {}).commit


def test_each_answer_is_a_row_only_where_the_loop_asks_for_it(store: tuple[GitDatasetStore, str]) -> None:
    assert scored_golden(*store, loop("last")) == [TWO, ONE]
    every = scored_golden(*store, loop("every"))
    assert [row.id for row in every] == ["two#1", "two#2", "one"]
    # so that training uses none of the requests that are scored
    assert [row.prompt for row in read_evaluation_rows(*store, loop("every"))] == [row.prompt for row in every]


def test_scores_name_the_conversation_and_the_page_shows_turns_and_wholes(store: tuple[GitDatasetStore, str], tmp_path: Path) -> None:
    rows = Rows([RowSet(scored_golden(*store, loop("every")))], [])

    def scores(**said: str) -> list[Score]:
        ids = ["two#1", "two#2", "one"]
        answers = [json.dumps({"intent": said[name]}) for name in ("first", "second", "one")]
        file = tmp_path / f"{'-'.join(said.values())}.parquet"
        pq.write_table(pa.table({"id": ids, "answer": answers, "tokens_out": [1] * 3, "truncated": [False] * 3}), file)
        return scores_of(loop("every"), rows, [file], [])

    candidate, production = scores(first="ask", second="timer", one="dark"), scores(first="ask", second="alarm", one="light")
    assert [(s.id, s.conversation, s.exact) for s in candidate] == [("two#1", "two", True), ("two#2", "two", True), ("one", None, False)]
    made = report(candidate, production)
    made = made.model_copy(update={"scores": {**made.scores, "base": production}})
    table = _turns_table(made)
    assert isinstance(table, dg.TableMetadataValue)
    shown = [[str(record.data[name])[:5] for name in ("right", "conversations", "production", "candidate")] for record in table.records]
    assert shown == [["answe", "1", "1.000", "1.000"], ["answe", "1", "0.000", "1.000"], ["whole", "1", "0.000", "1.000"]]
    alone = {role: [scores[2]] for role, scores in made.scores.items()}
    assert _turns_table(made.model_copy(update={"scores": alone})) is None


def test_the_page_says_how_far_the_judge_agrees_and_what_would_halve_the_interval() -> None:
    gate = Gate(metric="llm_judge", better_than="production")
    asked = loop("last").model_copy(update={"gates": [gate]})
    choices = (LabelledChoice(judge=1, people=1, own=True),) * 45 + (LabelledChoice(judge=1, people=-1),) * 5
    known = Calibration(
        n=50, min_kappa=0.4, agreement=0.9, kappa=0.8, kappa_low=0.6, kappa_high=0.9, choices=choices, decided=100, first_position=0.5,
        both_decided=40, longer=0.7, longer_people=0.5, slices={"golden": 30, "billing": 20},
    )  # fmt: skip
    made = report(scored([1.0] * 40), scored([0.0] * 40))
    scores = [
        PairwiseScore(id=each.id, slice=each.slice, value=1.0 if n < 30 else -1.0) for n, each in enumerate(made.rows("candidate", None))
    ]
    made = made.model_copy(update={"pairwise_scores": scores, "llm_judge_calibration": known})
    shown = {row.data["LLM judge"]: row.data["found"] for row in _judge_table(asked, made, known).records}  # type: ignore[attr-defined]
    assert shown["labelled pairs, those of this report's answers"] == "50, 45"
    assert shown["agreement with people, kappa"] == "0.90, 0.80 (95 % interval 0.60 to 0.90)"
    assert shown["preferred the longer answer, of 40; people"] == "0.70; 0.50"
    assert "30 of these 40 pairs of answers need people's labels" in shown["llm_judge_better"]
    assert shown["labelled pairs by slice"] == "billing 20, golden 30"
    assert "problem" not in shown
    labelled = made.model_copy(update={"pairwise_scores": [each.model_copy(update={"people": 1}) for each in scores]})
    found = {row.data["LLM judge"]: row.data["found"] for row in _judge_table(asked, labelled, known).records}  # type: ignore[attr-defined]
    assert "would halve the interval" in found["llm_judge_better"]
    broken = known.model_copy(update={"problem": "the judge has changed"})
    assert {row.data["LLM judge"] for row in _judge_table(asked, made, broken).records} >= {"problem"}  # type: ignore[attr-defined]


def test_the_page_counts_near_copies_of_golden_and_further_rows() -> None:
    near = [Example(id=which, messages=question(f"dim the lamp in the {which} kitchen of the house"), completion="on") for which in "abc"]
    held_out = RowSet(near, held_out=True)
    said = near_copies_sentence(loop("last"), Rows([RowSet([*near, ONE]), held_out], []))
    assert said.startswith("2 of 4 golden rows are near copies of others (")
    assert "same answer as" in said
    assert "give them one conversation_id" in said
    assert near_copies_sentence(loop("last"), Rows([RowSet(linked([*near, near[0]])), held_out], [])).startswith("1 of 4 golden rows is a")
    assert near_copies_sentence(loop("last"), Rows([RowSet([near[0], ONE]), held_out], [])) == ""
