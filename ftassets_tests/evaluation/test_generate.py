import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ftassets.domain.answers import AnswerJob, Ask
from ftassets.evaluation.generate import answer, generate
from ftassets_tests.tiny_model import make_tiny_model

PROMPTS = [{"id": f"p{n}", "prompt": "turn on the light " + "please " * (n % 5)} for n in range(11)]


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


def a_job(folder: Path, base: Path, *outputs: str) -> AnswerJob:
    (folder / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in PROMPTS))
    return AnswerJob(
        system_prompt="Answer as JSON.",
        max_tokens=4,
        batch_size=4,
        asks=[Ask(model=base, prompts_file=folder / "prompts.jsonl", output=folder / "answers" / name) for name in outputs],
        work=folder,
    )


def test_every_prompt_is_answered_in_its_place(tmp_path, tiny_base):
    answer(a_job(tmp_path, tiny_base, "one.parquet", "two.parquet"), lambda _: None)
    table = pq.read_table(tmp_path / "answers" / "one.parquet")
    assert table.column_names == ["id", "answer", "tokens_out", "truncated"]
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "int64", "bool"]
    assert table["id"].to_pylist() == [prompt["id"] for prompt in PROMPTS]
    assert max(table["tokens_out"].to_pylist()) <= 4
    assert table.equals(pq.read_table(tmp_path / "answers" / "two.parquet"))
    assert sorted(path.name for path in (tmp_path / "answers").iterdir()) == ["one.parquet", "two.parquet"]


def test_an_answer_file_that_exists_is_kept(tmp_path, tiny_base):
    job = a_job(tmp_path, tiny_base, "one.parquet")
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "one.parquet").write_text("mine")
    answer(job, lambda _: None)
    assert (tmp_path / "answers" / "one.parquet").read_text() == "mine"


def test_an_answer_does_not_depend_on_its_neighbours(tiny_base):
    together = generate(tiny_base, "Answer as JSON.", PROMPTS, 6, 11, lambda _: None)
    alone = generate(tiny_base, "Answer as JSON.", PROMPTS[:1], 6, 1, lambda _: None)
    assert together[0] == alone[0]


def test_an_answer_without_an_end_is_marked_truncated(tiny_base):
    rows = generate(tiny_base, "Answer as JSON.", PROMPTS[:2], 3, 2, lambda _: None)
    assert all(row["truncated"] == (row["tokens_out"] == 3) for row in rows)
    assert any(row["truncated"] for row in rows)


def test_no_prompts_is_an_error(tmp_path, tiny_base):
    job = a_job(tmp_path, tiny_base, "one.parquet")
    job.asks[0].prompts_file.write_text("\n")
    with pytest.raises(ValueError, match="no prompts"):
        answer(job, lambda _: None)
