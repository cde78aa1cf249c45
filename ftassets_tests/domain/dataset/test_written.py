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
    found = written("".join(lines), "seed")
    assert (found.rows, found.rejected) == parse_jsonl("".join(lines), "seed")
    for row, number in zip(found.rows, found.lines, strict=True):
        assert json.loads(lines[number - 1])["response"] == row.completion


def told(text: str, source: str, taken: tuple[str, ...] = (), **task: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(found.kind, found.lines) for found in refusals(loop(**task), written(text, source), taken)]


def test_a_usable_file_is_not_refused() -> None:
    for source in ("seed", "golden", "general"):
        assert told(line(id="a") + line(id="b"), source) == []
    assert told(line("refuse", id="a") + line("comply", id="b"), "safety") == []


@pytest.mark.parametrize("source", ["seed", "golden", "general"])
def test_ids_that_occur_twice_are_told_with_all_their_lines(source: str) -> None:
    assert told(line(id="a") + "\n" + line(id="b") + line(id="a"), source) == [("same_id", (1, 4))]


def test_a_file_without_a_row_is_refused_as_a_whole() -> None:
    assert told("no json\n", "golden") == [("no_rows", ())]


def test_the_form_of_an_answer_counts_where_it_is_compared() -> None:
    text = line(id="a") + line("lamp", id="b")
    assert told(text, "golden") == [("wrong_form", (2,))]
    assert told(text, "general") == [("wrong_form", (2,))]
    assert told(text, "safety") == [("wrong_form", (1, 2))]
    assert told(text, "seed") == []  # curation drops such rows
    assert told(text, "golden", type="text") == []


def test_slices_and_ids_of_other_sets_are_refused() -> None:
    assert told(line(id="a", slice="general") + line(id="b", slice="held_out") + line(id="c", slice="{hard}"), "golden") == [
        ("slice_taken", (1,)),
        ("slice_taken", (2,)),
    ]
    assert told(line(id="a") + line(id="b"), "general", ("b",)) == [("id_taken", (2,))]
