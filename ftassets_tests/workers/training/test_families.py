"""Models of many families, with tokenizers as they come: no token for padding, and turns that end in another token than texts do."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ftassets.domain.chat import chat
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.release.version import MERGED
from ftassets.testing.tiny_job import example_rows, tiny_job
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.chat_template import stop_ids
from ftassets.workers.evaluation.generate import generate
from ftassets.workers.training.sft import train

pytestmark = [pytest.mark.slow, pytest.mark.models]

SHAPE = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "max_position_embeddings": 512, "pad_token_id": None, "initializer_range": 0.1,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3": {},
    "mistral": {"sliding_window": None},
    "gemma2": {"final_logit_softcapping": 30.0, "query_pre_attn_scalar": 16},
    "phi3": {},
    "cohere": {"logit_scale": 0.25},
    "granite": {"logits_scaling": 4.0},
    "gpt_neox": {},
    "gpt2": {"n_positions": 512, "n_embd": 64, "n_layer": 2, "n_head": 4, "pad_token_id": None, "initializer_range": 0.1},
}
ANSWER = '{"intent": "dim"}'  # to each of four requests: weights drawn at random learn this much within seconds
# as Qwen 3 has it: an empty thought stands before an answer that was given, and not where one is to be given
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture
def base(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy whose texts end in <|endoftext|>, and which has no token for padding."""
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(llama, tmp_path / "base"))
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text()) | {"eos_token": "<|endoftext|>"}
    del settings["pad_token"]
    file.write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    return folder


def as_family(folder: Path, family: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "vocab_size": len(tokenizer)}
    shape = {} if family == "gpt2" else SHAPE
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**shape, **FAMILIES[family], **ends}))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)


def answers(folder: Path, base: Path) -> list[tuple[str, bool]]:
    """What a version trained on this base says to the requests it was taught, and whether each answer was cut."""
    job = tiny_job(folder, base, ("dim",), epochs=20, batch_size=1, lora_r=16, lora_alpha=32)
    rows = [row.model_copy(update={"completion": ANSWER}) for row in example_rows(("dim",))]
    job.train_file.write_text(to_jsonl(rows))
    digest = train(job, lambda _: None).digest
    asked = [chat(job.task.system_prompt, row) for row in rows]
    said: dict[int, dict[str, Any]] = {}
    for batch in generate(job.versions / digest / MERGED, asked, 40, 4, lambda _: None):
        said |= batch
    return [(said[n]["answer"], said[n]["truncated"]) for n in range(len(asked))]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_learns_and_its_answers_end(family: str, base: Path, tmp_path: Path) -> None:
    as_family(base, family)
    assert answers(tmp_path / "job", base) == [(ANSWER, False)] * 4


def test_an_answer_is_taught_where_the_prompt_ends_whatever_a_template_writes_around_given_answers(base: Path, tmp_path: Path) -> None:
    as_family(base, "qwen3")
    (base / "chat_template.jinja").write_text(THINKS)
    assert answers(tmp_path / "job", base) == [(ANSWER, False)] * 4


def test_a_version_names_all_tokens_it_stops_at_for_its_server(base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    job = tiny_job(tmp_path / "job", base, ("dim",), epochs=1)
    merged = job.versions / train(job, lambda _: None).digest / MERGED
    tokenizer: Any = AutoTokenizer.from_pretrained(merged)
    ends = GenerationConfig.from_pretrained(merged).eos_token_id
    assert {*tokenizer.convert_ids_to_tokens(ends)} == {"<|endoftext|>", "<|im_end|>"}
    assert [*stop_ids(tokenizer, ends)] == ends
    assert stop_ids(tokenizer, None) == stop_ids(tokenizer, tokenizer.eos_token_id) == [0, 2]
