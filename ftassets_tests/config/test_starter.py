"""What `ftassets init` and `dg scaffold` write."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.cli.commands.check import check
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import read_loops
from ftassets.config.starter import GOLDEN, SEED, STARTERS, LoopExists, describe, files, write
from ftassets.domain.gates.gate import Gate
from ftassets.errors import InvalidInput


def _written(tmp_path: Path, task: str) -> LoopConfig:
    write(tmp_path / "mine", "mine", task)
    return read_loops(tmp_path)["mine"]


@pytest.mark.parametrize("task", STARTERS)
def test_only_rows_are_missing(tmp_path: Path, task: str) -> None:
    assert _written(tmp_path, task).task.type == task
    [report] = check(tmp_path)
    assert {found.kind for found in report.findings} <= {
        "too_few_rows",
        "too_few_golden_rows",
        "weak_gate",
        "empty_split",
        "floor_without_rows",
    }, report.findings
    assert any(found.kind == "too_few_rows" and found.severity == "error" for found in report.findings)


@pytest.mark.parametrize("task", STARTERS)
def test_gates_hold_a_floor_and_a_slice_of_the_golden_rows(tmp_path: Path, task: str) -> None:
    loop = _written(tmp_path, task)
    assert any(gate.at_least is not None for gate in loop.gates)
    assert any(gate.better_than for gate in loop.gates)
    assert [gate.slice for gate in loop.gates if gate.slice]


@given(st.one_of(st.text(max_size=50), st.from_regex(r"^[a-z][a-z0-9_]{0,40}$", fullmatch=True)))
def test_a_name_is_taken_exactly_if_a_loop_can_have_it(name: str) -> None:
    gate = Gate(metric="exact_match", better_than="production")
    try:
        LoopConfig.model_validate(
            {
                "name": name, "base_model": "b", "task": {"system_prompt": "x"}, "dataset": {"seed": "s"}, "golden_set": "g",
                "gates": [gate.model_dump()],
            }
        )  # fmt: skip
    except ValueError:
        with pytest.raises(InvalidInput, match="cannot be called"):
            files(name, "text")
    else:
        assert f"name: {name} " in files(name, "text")["defs.yaml"]


@pytest.mark.parametrize("taken", [SEED, GOLDEN, "defs.yaml"])
def test_nothing_is_written_over_a_file(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(LoopExists, match=taken):
        write(tmp_path, "mine", "text")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_a_link_to_nothing_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / SEED).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoopExists, match=SEED):
        write(tmp_path, "mine", "text")
    assert not (tmp_path / "elsewhere").exists()


def test_a_base_model_is_written_as_one_value(tmp_path: Path) -> None:
    write(tmp_path, "mine", "text", 'a: "b" # c')
    assert read_loops(tmp_path)["mine"].base_model == 'a: "b" # c'
    for wrong in ("", "a\nname: other"):
        with pytest.raises(InvalidInput, match="base model"):
            files("mine", "text", wrong)


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="there is no task 'poem': write one of tool_call, classification, text"):
        files("mine", "poem")


def test_the_next_three_commands_are_named() -> None:
    said = describe([Path("x/mine/defs.yaml")], "mine", "--loops x")
    assert [line.split()[:2] for line in said.splitlines()[-3:]] == [["ftassets", "check"], ["ftassets", "doctor"], ["ftassets", "up"]]
    assert said.count("--loops x") == 3
