"""Choices of LLM judges: kept for each judge where earlier releases have them, and never lost."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.backends.control.llm_judge_choices import add_choices, read_choices
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.domain.evaluation.llm_judge import BothOrders
from ftassets.domain.formats import NewerFormat

CHOICES: list[BothOrders] = [("first", "second")]
TIE: list[BothOrders] = [("tie", "tie"), ("first", "tie")]


def place(home: Home) -> Path:
    return home.answers / "judge-j1.jsonl"


def test_choices_come_back_and_each_judge_has_its_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read_choices(control(home), "j1") == {}
    add_choices(control(home), "j1", {"a": CHOICES})
    add_choices(control(home), "j1", {"b": TIE})
    assert read_choices(control(home), "j1") == {"a": CHOICES, "b": TIE}
    assert read_choices(control(home), "j2") == {}
    assert len(place(home).read_text().splitlines()) == 2


def test_two_runs_at_once_do_not_lose_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_choices(control(Home(tmp_path)), "j1", {f"k{n}": CHOICES}), range(24)))
    assert len(read_choices(control(Home(tmp_path)), "j1")) == 24


def test_a_file_of_an_earlier_release_is_read_and_a_damaged_line_left_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    place(home).parent.mkdir(parents=True)
    place(home).write_text(json.dumps({"key": "a", "choices": CHOICES}) + "\n" + '{"key": "b", "choi')
    assert read_choices(control(home), "j1") == {"a": CHOICES}
    add_choices(control(home), "j1", {"c": TIE})
    assert read_choices(control(home), "j1") == {"a": CHOICES, "c": TIE}


def test_what_a_newer_release_wrote_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    place(home).parent.mkdir(parents=True)
    place(home).write_text('{"format": 99, "key": "a"}\n')
    with pytest.raises(NewerFormat, match="format 99"):
        read_choices(control(home), "j1")
    with pytest.raises(NewerFormat, match="format 99"):
        add_choices(control(home), "j1", {"b": TIE})
    assert place(home).read_text() == '{"format": 99, "key": "a"}\n'
