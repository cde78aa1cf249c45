"""A stored decision is made again by the command."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.cli.main import app
from ftassets.config import loops_folder
from ftassets.config.loop_files import LoopFiles
from ftassets.domain import retrain
from ftassets_tests import ROOT
from ftassets_tests.domain.test_retrain import LOOP, situation


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(loops_folder, "read_loop_files", lambda folder: LoopFiles({LOOP.name: LOOP}, {}, []))
    folder = tmp_path / "reports" / LOOP.name
    folder.mkdir(parents=True)
    return folder


def store(folder: Path, content: bytes) -> Path:
    path = folder / f"decision-{hashlib.sha256(content).hexdigest()}.json"
    path.write_bytes(content)
    return path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["replay", *arguments])
    assert "Traceback" not in result.output
    return result


def test_a_decision_comes_out_the_same_by_its_file_and_by_its_digest(reports: Path) -> None:
    path = store(reports, retrain.record(situation(), LOOP))
    digest = path.stem.removeprefix("decision-")
    for text in (str(path), digest, digest[:8]):
        result = run(text)
        assert (result.exit_code, result.stdout.startswith("the same decision again: RETRAIN")) == (0, True), result.output
    found = json.loads(run(digest, "--json").stdout)
    assert (found["same"], found["stored"]) == (True, found["now"])


def test_another_decision_than_the_stored_one_is_shown_with_exit_code_1(reports: Path) -> None:
    changed = retrain.record(situation(), LOOP).replace(b'"new_labels":100', b'"new_labels":99')
    result = run(str(store(reports, changed)))
    assert result.exit_code == 1
    assert "the rule decides differently now" in result.stdout
    assert "stored: RETRAIN" in result.stdout
    assert "now:    WAIT" in result.stdout
    assert json.loads(run(str(store(reports, changed)), "--json").stdout)["same"] is False


def test_a_file_that_was_changed_after_it_was_written_is_refused(reports: Path) -> None:
    path = store(reports, retrain.record(situation(), LOOP))
    path.write_bytes(path.read_bytes().replace(b'"new_labels":100', b'"new_labels":101'))
    result = run(str(path))
    assert result.exit_code == 1
    assert "was changed after it was written" in result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a decision that this version can make again"),
        (b"[]", "not a decision"),
        (None, "begins 2 names where one stored decision is wanted"),
    ],
)
def test_what_is_no_one_decision_is_refused(reports: Path, content: bytes | None, words: str) -> None:
    for number in range(64):  # until two begin alike
        store(reports, retrain.record(situation(now=float(number)), LOOP))
        starts = [path.name.removeprefix("decision-")[0] for path in reports.iterdir()]
        if twice := [start for start in starts if starts.count(start) == 2]:
            break
    path = reports / "mine.json"
    path.write_bytes(content or b"")
    result = run(str(path) if content is not None else twice[0])
    assert result.exit_code == 1
    assert words in result.stderr


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 950 + b"1" + b"}" * 950, b"5", b'{"situation": {"s3cr3t": 1}}'])
def test_a_file_that_is_no_decision_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    result = run(str(tmp_path / "x.json"))
    assert (result.exit_code, "a bug in ftassets" in result.stderr) == (1, False)
    assert "not a decision" in result.stderr


def test_each_move_of_a_rollout_is_made_again(tmp_path: Path) -> None:
    [sample] = (ROOT / "ftassets_tests" / "samples" / "v3" / "home" / "rollouts").rglob("*.jsonl")
    result = run(str(sample))
    assert (result.exit_code, result.stdout.startswith("the same decision again: ROLLBACK: the candidate is worse")) == (0, True)
    changed = tmp_path / "changed.jsonl"
    changed.write_text(sample.read_text().replace('"count":40', '"count":4', 1).replace('"user":"2"', '"user":"1"'))
    result = run(str(changed), "--json")
    assert (result.exit_code, [each["same"] for each in json.loads(result.stdout)]) == (1, [False])
    changed.write_text("{}\n")
    assert "line 1" in run(str(changed)).output
