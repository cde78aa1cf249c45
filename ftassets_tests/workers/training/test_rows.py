"""Rows that cannot be taught are counted and refused; classes weigh as the settings say."""

from pathlib import Path
from typing import Any

import pytest

from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.testing.tiny_job import example_rows, tiny_job
from ftassets.workers.training.loss import taught_loss
from ftassets.workers.training.rows import taught_rows, weights_of
from ftassets.workers.training.sft import train

pytestmark = [pytest.mark.slow, pytest.mark.models]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))


def long_rows(count: int) -> list[Any]:
    return [row.model_copy(update={"id": f"long-{n}", "completion": "word " * 200}) for n, row in enumerate(example_rows(("dim",))[:count])]


def test_long_rows_are_counted_in_the_result_and_too_many_refuse_the_training(tmp_path: Path, tiny_base: Path) -> None:
    said: list[str] = []
    job = tiny_job(tmp_path / "few", tiny_base)
    job.train_file.write_text(to_jsonl([*example_rows(("dim", "light", "open", "shut")), *long_rows(1)]))
    result = train(job, said.append)
    [(reason, count)] = result.left_out.items()
    assert (count, result.rows) == (1, 16)
    assert "more than max_length 128 tokens" in reason
    assert any(line.startswith("1 of 17 rows are left out: more than max_length") for line in said)
    many = tiny_job(tmp_path / "many", tiny_base)
    many.train_file.write_text(to_jsonl([*example_rows(("dim", "light", "open", "shut")), *long_rows(4)]))
    with pytest.raises(TrainingStopped, match="4 of 20 rows are left out, more than train.max_left_out 0.1"):
        train(many, said.append)
    assert train(many.model_copy(update={"train": many.train.model_copy(update={"max_left_out": 0.5})}), said.append).left_out


def test_validation_rows_that_are_all_too_long_lose_no_training(tmp_path: Path, tiny_base: Path) -> None:
    job = tiny_job(tmp_path / "first", tiny_base)
    job.validation_file.write_text(to_jsonl(long_rows(2)))
    assert train(job, lambda _: None).validation_loss is None


def test_rare_classes_weigh_more_and_the_training_is_another_one(tmp_path: Path, tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    rows = [*example_rows(("dim", "light", "open")), *example_rows(("shut",))[:1]]
    job = tiny_job(tmp_path / "weighted", tiny_base, class_weights="balanced", lora_dropout=0.0)
    job.train_file.write_text(to_jsonl(rows))
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_base)
    found = taught_rows(tokenizer, rows, job, lambda _: None)
    assert weights_of(job, found.classes) == pytest.approx([13 / 16] * 12 + [13 / 4])
    weighted = train(job, lambda _: None)
    even = tiny_job(tmp_path / "even", tiny_base, lora_dropout=0.0)
    even.train_file.write_text(to_jsonl(rows))
    assert weighted.losses != train(even, lambda _: None).losses
    assert weighted.last_loss < weighted.first_loss


def test_a_weighted_loss_is_the_weighted_sum_of_its_rows(tiny_base: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    ids = torch.randint(5, 300, (3, 9), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :4] = -100
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    weights = torch.tensor([0.5, 1.0, 3.0])
    whole, _ = taught_loss(model, {**inputs, "weights": weights}, 15)
    parts = [taught_loss(model, {name: each[row : row + 1] for name, each in inputs.items()}, 15)[0] for row in range(3)]
    assert float(whole) == pytest.approx(float(sum(weight * part for weight, part in zip(weights, parts, strict=True))), rel=1e-5)
