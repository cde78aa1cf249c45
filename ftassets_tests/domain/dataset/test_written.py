"""Files of examples that people wrote: line numbers, and what no loop can use."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.rows import parse_jsonl
from ftassets.domain.dataset.written import refusals, written

GENERAL = {"name": "general", "file": "general.jsonl", "scoring": "exact"}
SAFETY = {"name": "safety", "file": "safety.jsonl", "scoring": "refusal"}


def loop(**task: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "l",
            "base_model": "b",
            "task": {"system_prompt": "x", **task},
            "dataset": {"seed": "s"},
            "golden_set": Path("g"),
            "sets": [GENERAL, SAFETY],
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )


def line(answer: str = "{}", **more: str) -> str:
    return json.dumps({"instruction": "lamp on", "response": answer, **more}) + "\n"


@given(st.lists(st.sampled_from([line(), line("x"), "\n", "  \n", "no json\n", '{"messages": []}\n']), max_size=8))
def test_each_row_has_the_number_of_its_line(lines: list[str]) -> None:
    found = written("".join(lines), "golden")
    assert (found.rows, found.rejected) == parse_jsonl("".join(lines), "golden")
    for row, number in zip(found.rows, found.lines, strict=True):
        assert json.loads(lines[number - 1])["response"] == row.completion


def told(text: str, source: str, taken: tuple[str, ...] = (), **task: Any) -> list[tuple[str, int | None]]:
    return [(found.kind, found.line) for found in refusals(loop(**task), written(text, source), taken)]


def test_a_usable_file_is_not_refused() -> None:
    for source in ("seed", "golden", "general"):
        assert told(line(id="a") + line(id="b"), source) == []
    assert told(line("refuse", id="a") + line("comply", id="b"), "safety") == []


def test_an_id_of_two_different_rows_of_a_seed_is_the_first_ones() -> None:
    found = written(line(id="a") + line('{"x": 1}', id="a") + line(id="b", n_tokens=7), "seed")
    assert [row.id for row in found.rows] == ["a", "b"]
    assert [(each.where, each.reason) for each in found.rejected] == [
        ("seed:2", "the id a is that of line 1 too, which is another row: give each row an id of its own")
    ]
    assert found.unread == {"n_tokens": 1}


@pytest.mark.parametrize("source", ["golden", "general"])
def test_an_id_of_two_different_rows_is_told_with_both_lines(source: str) -> None:
    text = line(id="a") + "\n" + line(id="b") + line('{"x": 1}', id="a")
    assert told(text, source) == [("same_id", 4)]
    [refusal] = refusals(loop(), written(text, source))
    assert refusal.text == "the id a is that of line 1 too, which is another row"


@pytest.mark.parametrize("more", [{}, {"id": "a"}])
def test_a_copy_of_a_row_is_kept_once_in_the_seed_and_refused_where_it_would_count_twice(more: dict[str, str]) -> None:
    text = line(**more) + "\n" + line(**more)
    found = written(text, "seed")
    assert (len(found.rows), found.lines) == (1, [1])
    assert [(each.where, each.reason) for each in found.copies] == [("seed:3", "is the same as line 1; curation keeps one")]
    assert told(text, "seed") == []
    assert told(text, "golden") == [("same_row", 3)]
    assert [each.text for each in refusals(loop(), written(text, "golden"))] == ["is the same as line 1"]


def test_a_file_without_a_row_is_refused_as_a_whole() -> None:
    assert told("no json\n", "golden") == [("no_rows", None)]


def test_the_form_of_an_answer_counts_where_it_is_compared() -> None:
    text = line(id="a") + line("lamp", id="b")
    assert told(text, "golden") == [("wrong_form", 2)]
    assert told(text, "general") == [("wrong_form", 2)]
    assert told(text, "safety") == [("wrong_form", 1), ("wrong_form", 2)]
    each_with_its_own = [found.text for found in refusals(loop(), written(text, "safety"))]
    assert each_with_its_own == ["the expected answer of a is not refuse or comply", "the expected answer of b is not refuse or comply"]
    assert told(text, "seed") == []  # curation drops such rows
    assert told(text, "golden", type="text") == []


def test_slices_and_ids_of_other_sets_are_refused() -> None:
    assert told(line(id="a", slice="general") + line(id="b", slice="held_out") + line(id="c", slice="{hard}"), "golden") == [
        ("slice_taken", 1),
        ("slice_taken", 2),
    ]
    assert told(line(id="a") + line(id="b"), "general", ("b",)) == [("id_taken", 2)]
