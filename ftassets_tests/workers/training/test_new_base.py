"""A loop whose base model changed: another family, another tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.artifacts.version_folder import read_manifest
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.evaluation.jobs import AnswerJob, Ask
from ftassets.domain.release.version import ADAPTER, MERGED
from ftassets.domain.training.job import TrainingResult
from ftassets.testing.tiny_job import example_rows, tiny_job
from ftassets.testing.tiny_model import TEMPLATE
from ftassets.workers.evaluation.generate import answer
from ftassets.workers.training.sft import train

pytestmark = pytest.mark.models


def other_family(folder: Path) -> Path:
    """A random Qwen2 with a vocabulary of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = {letter: number for number, letter in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>", unk_token="<|endoftext|>"
    )
    fast.chat_template = TEMPLATE
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=len(fast), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=1024, initializer_range=0.2, tie_word_embeddings=True,
        bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id, pad_token_id=fast.pad_token_id,
    )  # fmt: skip
    model: Any = Qwen2ForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Path, TrainingResult, TrainingResult, list[str]]:
    """Folder of versions, a training on the old base, and the next one on the new base that was told to go on."""
    folder, said = tmp_path_factory.mktemp("moved"), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTASSETS_CACHE", str(folder / "cache"))
        first = tiny_job(folder / "first", tiny_base, epochs=1)
        old = train(first, lambda _: None)
        job = tiny_job(
            folder / "second", other_family(folder / "base"), verbs=("dim",), epochs=1, max_length=512,
            start_from=first.versions / old.digest / ADAPTER,
        )  # fmt: skip
        (folder / "second" / "cold.jsonl").write_text(to_jsonl(example_rows(("dim", "open", "shut"))))
        new = train(job.model_copy(update={"cold_file": folder / "second" / "cold.jsonl"}), said.append)
    return first.versions, old, new, said


def test_training_starts_cold_on_all_rows(moved) -> None:
    versions, old, new, said = moved
    manifest, before = read_manifest(versions / new.digest), read_manifest(versions / old.digest)
    lineage = f"starts cold (base changed from {before.base_model} to {manifest.base_model})"
    assert (new.lineage, new.start_from, manifest.lineage, manifest.parent) == (lineage, None, lineage, None)
    assert new.rows == 12, "not only what production had not seen"
    assert any(lineage in line for line in said)
    assert manifest.tokenizer_digest != before.tokenizer_digest
    assert (versions / old.digest / MERGED).exists()


def test_each_version_answers_with_its_own_tokenizer(moved, tmp_path: Path) -> None:
    import pyarrow.parquet as pq
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    versions, old, new, _ = moved
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"id": "1", "messages": [{"role": "user", "content": "dim the light in the hall"}]}) + "\n")
    asks = [Ask(model=versions / r.digest / MERGED, prompts_file=prompts, output=tmp_path / f"{r.digest}.parquet") for r in (old, new)]
    answer(AnswerJob(system_prompt="Answer as JSON.", max_tokens=6, asks=asks, work=tmp_path), lambda _: None)
    chat = [{"role": "system", "content": "Answer as JSON."}, {"role": "user", "content": "dim the light in the hall"}]
    for ask in asks:
        tokenizer: Any = AutoTokenizer.from_pretrained(ask.model)
        model: Any = AutoModelForCausalLM.from_pretrained(ask.model, dtype=torch.bfloat16)
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            written = model.generate(**ids, max_new_tokens=6, do_sample=False)[0, ids["input_ids"].shape[1] :]
        assert pq.read_table(ask.output).to_pydict()["answer"] == [tokenizer.decode(written, skip_special_tokens=True).strip()]
