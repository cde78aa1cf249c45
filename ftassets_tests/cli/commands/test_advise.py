"""`ftassets advise` on files."""

import json
from pathlib import Path

import pytest

from ftassets.cli.commands.advise import describe, run
from ftassets.config.loop_files import LOOPS
from ftassets.domain.dataset.advice import Choice, Circumstances


def test_the_verdict_on_a_real_seed_file_comes_with_its_numbers() -> None:
    seed = LOOPS / "voice_commands" / "seed.jsonl"
    count = len(seed.read_text().splitlines())
    advice = run(seed)
    assert advice.verdict is Choice.FINE_TUNE
    text = describe(advice)
    assert text.startswith("Verdict: fine-tune\n")
    assert f"{count} distinct examples" in text
    assert "values of the field intent" in text
    assert "0% of the answers state a price" in text
    assert "iteration speed" in text
    assert run(seed, Circumstances(days_between_changes=1.0)).verdict is Choice.PROMPT


def test_a_folder_is_read_whole_and_lines_that_are_no_example_are_told(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    line = json.dumps({"instruction": "dim the hall", "response": '{"intent": "dim"}'})
    (tmp_path / "one.jsonl").write_text(f"{line}\nno json\n")
    (tmp_path / "more" / "two.jsonl").write_text(line.replace("hall", "attic") + "\n")
    (tmp_path / "notes.txt").write_text("nothing")
    advice = run(tmp_path)
    assert advice.verdict is Choice.PROMPT
    assert advice.findings[0].value == 1
    assert advice.findings[0].text.startswith("Examples read: 2; files: 2; lines that are no example: 1 (one.jsonl:2: ")


def test_without_an_example_the_error_names_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no example"):
        run(tmp_path)
    (tmp_path / "one.jsonl").write_text('{"text": "hello"}\n')
    with pytest.raises(ValueError, match=r'one\.jsonl:1: a row is an object with "messages"'):
        run(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing.jsonl"):
        run(tmp_path / "nothing.jsonl")
