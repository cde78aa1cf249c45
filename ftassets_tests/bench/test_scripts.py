"""Every benchmark and every script of the docs is imported, explains itself and prints its rows by the one writer."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.rows import DATA_VARIABLE, ROOT, CannotMeasure, Row, data, environment

SCRIPTS = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if path.stem not in ("__init__", "rows", "demo_job"))
DOCS = sorted((ROOT / "docs").glob("*.py"))
KEYS = ["bench", "what", "ours", "peer", "peer_name", "unit", "ratio", "goal", "holds"]
GOOD, BAD, SHOWN = Row("a", 1, "s", "<= 2", True, 4, "other"), Row("b", 3, "s", "<= 2", False), Row("c", 5, "rows")


def script(name: str) -> Any:
    return importlib.import_module(f"bench.{name}")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        script(name).main(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith(f"usage: python -m bench.{name} ")
    assert "--full" in shown
    for option in script(name).SIZES:
        assert f"--{option.replace('_', '-')} N" in shown


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.stem)
def test_a_script_of_the_docs_explains_itself(path: Path) -> None:
    done = subprocess.run([sys.executable, str(path), "--help"], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {path.name}")


@pytest.mark.parametrize(("rows", "code"), [([GOOD, SHOWN], 0), ([GOOD, BAD, SHOWN], 1), ([], 2)], ids=["holds", "fails", "nothing"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_prints_what_it_measured(
    name: str, rows: list[Row], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script(name), "measure", lambda options: iter(rows))
    assert script(name).main([]) == code
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in printed] == [KEYS] * len(rows)
    assert [(line["bench"], line["what"], line["holds"]) for line in printed] == [(name, row.what, row.holds) for row in rows]


@pytest.mark.parametrize("name", SCRIPTS)
def test_sizes_are_those_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def measure(options: Any) -> Iterator[Row]:
        seen.append(options)
        yield GOOD

    monkeypatch.setattr(script(name), "measure", measure)
    sizes = script(name).SIZES
    first = next(iter(sizes))
    for arguments in ([], ["--full"], [f"--{first.replace('_', '-')}", "3"]):
        assert script(name).main(arguments) == 0
    quick, full, changed = map(vars, seen)
    assert {size: quick[size] for size in sizes} == {size: each.quick for size, each in sizes.items()}
    assert {size: full[size] for size in sizes} == {size: each.full for size, each in sizes.items()}
    assert changed[first] == 3


@pytest.mark.parametrize("name", ["curation", "drift", "pii"])
def test_without_its_data_nothing_is_measured_and_that_is_a_failure(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data_full.json").write_text("{}")  # as if the variable named the data set's own folder
    for folder in (tmp_path, tmp_path / "missing"):
        monkeypatch.setenv(DATA_VARIABLE, str(folder))
        assert script(name).main([]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert f"{folder}/" in printed.err
        assert f"set {DATA_VARIABLE}" in printed.err


def test_data_is_below_the_folder_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "clinc150" / "data_full.json"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert data("clinc150/data_full.json") == file
    with pytest.raises(CannotMeasure, match=r"presidio_synth/x\.json is missing"):
        data("presidio_synth/x.json")


def test_rows_before_a_missing_part_are_printed_and_the_run_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(options: Any) -> Iterator[Row]:
        yield GOOD
        raise CannotMeasure("the peer is gone: install it")

    monkeypatch.setattr(script("load"), "measure", measure)
    assert script("load").main([]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["what"] == "a"
    assert printed.err == "bench.load: the peer is gone: install it\n"


def test_the_ratio_is_ours_divided_by_the_peers() -> None:
    assert json.loads(GOOD.line("x"))["ratio"] == 0.25
    assert json.loads(Row("a", 1, "s", peer=0, peer_name="other").line("x"))["ratio"] is None


@pytest.mark.parametrize("fields", [{"goal": "<= 2"}, {"holds": True}, {"peer": 1.0}, {"peer_name": "other"}])
def test_half_of_a_pair_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="come in pairs"):
        Row("a", 1, "s", **fields)


def test_a_size_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        script("load").main(["--loops", "0"])
    assert ended.value.code == 2
    assert "--loops: must be at least 1, got 0" in capsys.readouterr().err


def test_one_measures_as_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.publication", "--rows", "300"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    [line] = done.stdout.splitlines()
    row = json.loads(line)
    assert row["bench"] == "publication"
    assert done.returncode == (0 if row["holds"] else 1)
