"""The merged copy is compared with the model that was trained, at each training."""

from pathlib import Path

import pytest

from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.chat_template import Taught
from ftassets.workers.training.merging import ROWS, agreement, compared
from ftassets.workers.training.methods import METHODS
from ftassets.workers.training.sft import train

pytestmark = [pytest.mark.slow, pytest.mark.models]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_sound_merge_agrees_and_a_lost_one_is_seen(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    changes = {"method": method, "epochs": 12, **({"learning_rate": 3e-3} if method == "full" else {})}
    said: list[str] = []
    job = tiny_job(tmp_path / "sound", tiny_base, **changes)
    result = train(job, said.append)
    assert result.merged_agreement is not None
    assert result.merged_agreement >= 0.9
    assert any(line.startswith(f"the merged copy in bf16 finds {result.merged_agreement:.1%} of ") for line in said)
    if method == "lora":
        from ftassets.workers.training.methods.base import save_merged

        def without_adapter(self: object, version: Path) -> None:
            import torch
            from transformers import AutoModelForCausalLM

            save_merged(AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.bfloat16), tiny_base, version / "merged")

        monkeypatch.setattr(METHODS[method], "merge", without_adapter)
        lost = train(tiny_job(tmp_path / "lost", tiny_base, **changes), said.append).merged_agreement
        assert lost is not None
        assert lost < 0.5


def test_rows_are_spread_and_few() -> None:
    rows = [Taught([number], 0) for number in range(100)]
    assert [row.ids[0] for row in compared(rows)][:3] == [0, 3, 6]
    assert len(compared(rows)) == ROWS
    assert compared(rows[:2]) == rows[:2]
    assert compared([]) == []
    assert agreement([1, 2], [1, 3]) == 0.5
    assert agreement([], []) == 1.0
