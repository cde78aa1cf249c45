import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ftassets.domain.chat import chat, question
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.evaluation.jobs import AnsweredPrompt, Likelihood, PerplexityJob
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.evaluation.generate import load
from ftassets.workers.evaluation.likelihood import measure_likelihoods

pytestmark = pytest.mark.models

SYSTEM = "Answer as JSON."
ROWS = [
    AnsweredPrompt(
        id=f"r{n}",
        messages=question("turn on the light " + "please " * (n % 4)),
        expected=json.dumps({"n": n}) * (1 + n % 3),
        slice="golden",
    )
    for n in range(9)
]


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


def a_job(folder: Path, model: Path, rows: list[AnsweredPrompt] = ROWS, batch_tokens: int = 200, name: str = "one") -> PerplexityJob:
    file = folder / f"{name}.jsonl"
    file.write_text(to_jsonl(rows))
    one = Likelihood(model=model, rows_file=file, output=folder / f"{name}.parquet", system_prompt=SYSTEM)
    return PerplexityJob(likelihoods=[one], batch_tokens=batch_tokens, work=folder)


def found(job: PerplexityJob) -> list[dict[str, Any]]:
    measure_likelihoods(job, lambda _: None)
    return pq.read_table(job.likelihoods[0].output).to_pylist()


def test_each_row_has_the_loss_that_the_model_itself_gives_its_answer(tmp_path, tiny_base):
    import torch

    tokenizer, model = load(tiny_base)
    rows = found(a_job(tmp_path, tiny_base))
    assert [row["id"] for row in rows] == [row.id for row in ROWS]
    for row, wanted in zip(rows, ROWS, strict=True):
        asked = tokenizer.apply_chat_template(chat(SYSTEM, wanted).messages, tokenize=False, add_generation_prompt=True)
        said = f"{wanted.expected}<|im_end|>\n"
        ids = torch.tensor([tokenizer(asked + said, add_special_tokens=False)["input_ids"]])
        labels = ids.clone()
        labels[:, : -row["tokens"]] = -100
        assert tokenizer.decode(ids[0, -row["tokens"] :]) == said
        with torch.inference_mode():
            loss = model(input_ids=ids, labels=labels).loss.item()
        assert row["nll"] / row["tokens"] == pytest.approx(loss, rel=0.01)


def test_a_row_does_not_depend_on_its_batch_and_a_long_one_has_a_batch_of_its_own(tmp_path, tiny_base):
    together, alone = (found(a_job(tmp_path, tiny_base, batch_tokens=size, name=str(size))) for size in (10_000, 1))
    assert [row["nll"] for row in together] == pytest.approx([row["nll"] for row in alone], rel=0.01)


def test_a_file_that_exists_is_kept_and_the_others_are_written(tmp_path, tiny_base):
    jobs = [a_job(tmp_path, tiny_base, name=name) for name in ("old", "new")]
    old, new = (job.likelihoods[0] for job in jobs)
    old.output.write_text("mine")
    measure_likelihoods(PerplexityJob(likelihoods=[old, new], work=tmp_path), lambda _: None)
    assert old.output.read_text() == "mine"
    assert pq.read_table(new.output).num_rows == len(ROWS)
    measure_likelihoods(PerplexityJob(likelihoods=[old], work=tmp_path), lambda _: pytest.fail("nothing was to be done"))


def test_a_template_that_leaves_the_answer_out_is_an_error(tmp_path):
    silent = make_tiny_model(tmp_path / "silent")
    template = silent / "chat_template.jinja"
    template.write_text("{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}")
    with pytest.raises(ValueError, match="row r0: the chat template leaves the assistant's answer out"):
        found(a_job(tmp_path, silent))


def test_a_row_that_the_template_does_not_take_has_no_likelihood_and_takes_no_other_with_it(tmp_path):
    picky = make_tiny_model(tmp_path / "picky")
    template = picky / "chat_template.jinja"
    refusal = "{% for m in messages %}{% if 'please please' in m['content'] %}{{ raise_exception('too polite') }}{% endif %}{% endfor %}"
    template.write_text(refusal + template.read_text())
    said: list[str] = []
    job = a_job(tmp_path, picky)
    measure_likelihoods(job, said.append)
    rows = pq.read_table(job.likelihoods[0].output).to_pylist()
    refused = {row.id for row in ROWS if "please please" in row.prompt}
    assert {row["id"] for row in rows if row["nll"] is None and row["tokens"] is None} == refused
    assert len(rows) == len(ROWS) > len(refused) > 0
    assert any(f"{len(refused)} of 9 expected answers have no likelihood, the first is that of row r2: " in line for line in said)
    with pytest.raises(ValueError, match="row r2: the chat template does not take"):
        measure_likelihoods(a_job(tmp_path, picky, [row for row in ROWS if row.id in refused], name="none"), lambda _: None)
