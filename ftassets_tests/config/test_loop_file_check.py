"""All that is wrong with a loop file, with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ftassets.config.loop import LoopConfig
from ftassets.config.loop_file_check import check_document, model_at
from ftassets.config.yaml_lines import line_of, lines_of
from ftassets.domain.gates.gate import Gate

SOUND = """\
type: ftassets.FineTuneLoop
attributes:
  format: 2
  name: mine
  base_model: b
  task:
    system_prompt: x
  dataset:
    seed: seed.jsonl
  golden_set: golden.jsonl
  gates:
    - {metric: exact_match, better_than: production}
"""


def found(folder: Path, text: str) -> tuple[LoopConfig | None, list[tuple[int, str, str]]]:
    """The loop, and line, kind and text of each finding."""
    node = yaml.compose(text)
    loop, findings = check_document(node, yaml.safe_load(text), folder)
    return loop, [(line_of(lines_of(node), each.field), each.kind, f"{each.text}; {each.advice}") for each in findings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("seed.jsonl", "golden.jsonl"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_a_sound_file_has_no_finding_and_its_files_are_located(folder: Path) -> None:
    loop, findings = found(folder, SOUND)
    assert findings == []
    assert loop is not None
    assert loop.golden_set == folder / "golden.jsonl"


@pytest.mark.parametrize(
    ("old", "new", "line", "kind", "words"),
    [
        ("  golden_set: golden.jsonl\n", "", 2, "field", "golden_set is missing; JSONL file of rows that decide promotions"),
        ("  task:", "  modes: auto\n  task:", 6, "field", "modes: there is no such field; did you mean mode?"),
        ("system_prompt: x", "system_prompt: x\n    qqq: 1", 8, "field", "task.qqq: there is no such field; there are base_prompt"),
        ("name: mine", "name: Mine", 4, "field", "name: String should match"),
        ("metric: exact_match", "metric: chrf", 12, "field", "gates.0: there is no metric 'chrf': write chrf.chrf"),
        ("metric: exact_match", "metric: accuracy", 12, "field", "gates.0: there is no metric 'accuracy'"),
        ("seed: seed.jsonl", "seed: seeds.jsonl", 9, "missing_file", "seeds.jsonl, which is not there"),
        ("seed: seed.jsonl", "seed: seed.jsonl\n    goal: fame", 10, "field", "dataset.goal"),
        ("format: 2", "format: 3", 3, "format", "upgrade"),
        ("base_model: b", "base_model: b\n  base_model: c", 6, "repeated_field", "base_model is there twice"),
        ("base_model: b", 'base_model: "{{ env.NOT_THERE }}"', 5, "template", "NOT_THERE, which is not set"),
        ("base_model: b", "base_model: b\n  notify: {webhook_env: NOT_THERE}", 6, "variable_not_set", "NOT_THERE is not set here"),
        ("attributes:\n", "attributes: 3\nx:\n", 2, "field", "valid dictionary"),
    ],
)
def test_each_finding_has_the_line_of_its_field(folder: Path, old: str, new: str, line: int, kind: str, words: str) -> None:
    assert old in SOUND
    _, findings = found(folder, SOUND.replace(old, new))
    assert [(where, what) for where, what, _ in findings] == [(line, kind)]
    assert words in findings[0][2]


def test_all_findings_are_told_at_once(folder: Path) -> None:
    text = SOUND.replace("name: mine", "name: M").replace("base_model: b", 'base_model: "{{ env.NOT_THERE }}"').replace("seed: ", "sed: ")
    loop, findings = found(folder, text)
    assert loop is None
    assert sorted((line, kind) for line, kind, _ in findings) == [(4, "field"), (5, "template"), (8, "field"), (9, "field")]


def test_old_names_are_warned_of(folder: Path) -> None:
    text = SOUND.replace("  format: 2\n", "").replace("  gates:", "  train: {rank: 8}\n  gates:")
    loop, findings = found(folder, text)
    assert loop is not None
    assert loop.train.lora_r == 8
    assert [kind for _, kind, _ in findings] == ["old_name"]


def test_no_message_holds_the_value_of_a_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    _, findings = found(folder, SOUND.replace("metric: exact_match", 'metric: "{{ env.SECRET }}"'))
    assert findings
    assert "s3cr3t" not in str(findings)


@pytest.mark.parametrize(
    ("place", "model"),
    [((), LoopConfig), (("gates", 0), Gate), (("gates", 0, "any_of", 1), Gate), (("name",), None), (("nonesuch",), None)],
)
def test_the_model_at_a_place(place: tuple[Any, ...], model: Any) -> None:
    assert model_at(place) is model
