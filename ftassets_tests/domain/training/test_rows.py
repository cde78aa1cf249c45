"""Which rows are trained on when a new version goes on from production."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import Classification, ToolCall
from ftassets.domain.training.rows import lineage_of, training_rows


def row(number: int, intent: str = "On") -> Example:
    return Example(id=f"r{number:04}", messages=question(f"request {number}"), completion=json.dumps({"intent": intent}))


@settings(deadline=None)
@given(st.sets(st.integers(0, 80)), st.integers(0, 80), st.floats(0, 3), st.integers(0, 5))
def test_training_rows_are_all_new_ones_and_a_share_of_the_known(known: set[int], total: int, replay: float, seed: int) -> None:
    train = [row(i) for i in range(total)]
    ids = {f"r{i:04}" for i in known}
    chosen = training_rows(train, ids, replay, seed, {}, ToolCall())
    new, old = [r for r in train if r.id not in ids], [r for r in train if r.id in ids]
    assert len({r.id for r in chosen}) == len(chosen)
    assert chosen == training_rows(train, ids, replay, seed, {}, ToolCall())
    if new and old:
        assert chosen[: len(new)] == new
        assert len(chosen) == len(new) + min(len(old), round(replay * len(new)))
        assert all(r in old for r in chosen[len(new) :])
    else:
        assert chosen == train


def test_shares_cut_classes_by_hash_and_leave_the_others() -> None:
    train = [row(i, "On") for i in range(100)] + [row(100 + i, "Off") for i in range(20)] + [row(200, "Timer")]
    chosen = training_rows(train, set(), 1.0, 0, {"On": 0.25, "Timer": 0.01}, ToolCall())
    assert [sum(json.loads(r.completion)["intent"] == intent for r in chosen) for intent in ("On", "Off", "Timer")] == [25, 20, 1]
    assert chosen == [r for r in train if r in chosen]
    assert training_rows(train[::-1], set(), 1.0, 9, {"On": 0.25, "Timer": 0.01}, ToolCall()) == chosen[::-1]


def test_rows_come_back_when_the_set_grows() -> None:
    small = training_rows([row(i) for i in range(400)], set(), 1.0, 0, {"On": 0.5}, ToolCall())
    large = training_rows([row(i) for i in range(480)], set(), 1.0, 0, {"On": 0.5}, ToolCall())
    assert len({r.id for r in small} & {r.id for r in large}) > 0.9 * len(small)


def test_classes_are_those_of_the_tasks_label() -> None:
    train = [Example(id=f"r{i}", messages=question("p"), completion=json.dumps({"queue": "a"})) for i in range(10)]
    assert len(training_rows(train, set(), 1.0, 0, {"a": 0.5}, ToolCall("queue"))) == 5
    assert len(training_rows(train, set(), 1.0, 0, {"a": 0.5}, ToolCall())) == 10
    labels = [row.model_copy(update={"completion": "a"}) for row in train]
    assert len(training_rows(labels, set(), 1.0, 0, {"a": 0.5}, Classification())) == 5


OLD, NEW = ("smol", "a" * 64), ("qwen", "b" * 64)


def test_training_goes_on_only_from_an_adapter_of_the_same_base() -> None:
    assert lineage_of(None, None, NEW) == (False, "starts from the untuned base")
    assert lineage_of("v1", OLD, OLD) == (True, "continues from v1")
    assert lineage_of("v1", ("./smol", OLD[1]), OLD) == (True, "continues from v1"), "another name for the same weights"
    assert lineage_of("v1", OLD, NEW) == (False, "starts cold (base changed from smol to qwen)")
    assert lineage_of("v1", OLD, ("smol", NEW[1])) == (False, "starts cold (base changed from smol aaaaaaaaaaaa to smol bbbbbbbbbbbb)")
