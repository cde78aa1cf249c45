"""Tokens of rows before a training, against what a training counts."""

from pathlib import Path

import pytest

from ftassets.cli.commands.check import check
from ftassets.config.loop_files import read_loops
from ftassets.config.row_files import read_rows
from ftassets.config.starter import write
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.chat_template import taught
from ftassets.workers.training.token_counts import NotCounted, token_counts

pytestmark = pytest.mark.models


def test_rows_are_counted_as_training_counts_them_and_check_names_those_that_are_too_long(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    base = make_tiny_model(tmp_path / "base")
    write(tmp_path / "loops" / "mine", "mine", "tool_call", str(base))
    path = tmp_path / "loops" / "mine" / "defs.yaml"
    loop = read_loops(tmp_path / "loops")["mine"]
    seed = read_rows(loop.dataset.seed, "seed")
    tokenizer = AutoTokenizer.from_pretrained(base)
    counts = [len(taught(tokenizer, loop.task.system_prompt, row, row.completion).ids) for row in seed.rows]
    assert token_counts(loop, seed.rows, tmp_path) == counts
    limit = sorted(counts)[-2]
    path.write_text(path.read_text().replace("max_length: 512", f"max_length: {limit}"))
    found = [each for each in check(tmp_path / "loops")[0].findings if each.kind == "too_many_tokens" and each.file.endswith("seed.jsonl")]
    assert [each.line for each in found] == [1 + counts.index(max(counts))]


def test_without_the_tokenizer_check_says_that_it_did_not_count(tmp_path: Path) -> None:
    write(tmp_path / "loops" / "mine", "mine", "text", "nobody/no-such-model")
    loop = read_loops(tmp_path / "loops")["mine"]
    with pytest.raises(NotCounted, match="no-such-model"):
        token_counts(loop, [], tmp_path)
    assert any("max_length" in text for text in check(tmp_path / "loops")[0].not_checked)
