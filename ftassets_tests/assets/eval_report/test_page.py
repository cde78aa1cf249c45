"""Golden conversations from the dataset store to scores and the page."""

import json
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftassets.assets._shared.dataset_files import golden_path, read_evaluation_rows, scored_golden, to_parquet
from ftassets.assets.eval_report.page import _turns_table
from ftassets.assets.eval_report.rows import Rows, RowSet, scores_of
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import conversation, question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.scoring import Score
from ftassets_tests.domain.gates.reports import report

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
