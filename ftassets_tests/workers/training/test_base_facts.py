"""What is found about base models of several families: tiny ones with random weights, made here."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftassets.cli.commands.doctor import diagnose_base
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.training.base_model import BaseFacts, base_findings
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.training.base_facts import machine, read_facts

pytestmark = pytest.mark.models

NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ALTERNATES = (
    "{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "[{{ m['role'] }}]{{ m['content'] }}<|im_end|>{% endfor %}"
)
ENDLESS = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
SMALL = {
    "vocab_size": 310, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "head_dim": 8,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": {"sliding_window": None},
    "gemma": {},
    "phi3": {"pad_token_id": 2},
    "gpt_neox": {},
    "gpt2": {"n_positions": 512, "n_embd": 32, "n_layer": 2, "n_head": 4},
}


def loop(folder: Path, **train: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "l", "base_model": str(folder), "task": {"system_prompt": "x", "max_tokens": 8}, "dataset": {"seed": "s"},
            "golden_set": "g", "gates": [{"metric": "exact_match", "better_than": "production"}],
            "train": {"max_length": 128, "lora_r": 4, **train},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture
def base(llama: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(llama, tmp_path / "base"))


def change(folder: Path, file: str, **values: Any) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **values}))


def found(folder: Path, **train: Any) -> dict[str, tuple[bool, str]]:
    of = loop(folder, **train)
    return {each.subject: (each.ok, each.text) for each in base_findings(of, read_facts(of, folder / "cache"), machine())}


def wrong(folder: Path, **train: Any) -> list[str]:
    return [subject for subject, (ok, _) in found(folder, **train).items() if not ok]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_each_family_can_be_trained_and_its_adapter_is_counted_exactly(base: Path, family: str) -> None:
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from ftassets.workers.training.methods.lora import adapter_config

    shape = SMALL if not FAMILIES[family].get("n_embd") else {"vocab_size": 310}
    config = AutoConfig.for_model(family, **{**shape, **FAMILIES[family]})
    config.save_pretrained(base)
    assert wrong(base) == []
    of = loop(base)
    facts = read_facts(of, base / "cache")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    assert facts.shape is not None
    assert facts.shape.parameters == sum(each.numel() for each in model.parameters())
    adapted = get_peft_model(model, adapter_config(of.train, model))
    assert facts.shape.trained == sum(each.numel() for each in adapted.parameters() if each.requires_grad) > 0
    assert (facts.shape.layers, facts.shape.heads, facts.shape.hidden) == (2, 4, 32)


def _template(text: str) -> Callable[[Path], None]:
    return lambda folder: void((folder / "chat_template.jinja").write_text(text))


def void(_: object) -> None:
    return None


def _no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def _no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


WRONG: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "unknown architecture": (lambda f: change(f, "config.json", model_type="mamba99"), "architecture", "does not recognize"),
    "no causal model": (lambda f: change(f, "config.json", model_type="t5"), "architecture", "no model that continues text"),
    "quantized": (
        lambda f: change(f, "config.json", quantization_config={"quant_method": "gptq", "bits": 4}), "quantized weights", "gptq"
    ),
    "short context": (lambda f: change(f, "config.json", max_position_embeddings=64), "context", "64 tokens: lower train.max_length"),
    "pickled": (_pickled, "weights", "only pickled weights (pytorch_model.bin)"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "weights", "no file of weights"),
    "no template": (_no_template, "chat template", "it has none"),
    "small vocabulary": (lambda f: change(f, "config.json", vocab_size=300), "vocabulary", "310 tokens, 300 embeddings"),
    "no tokenizer": (_no_tokenizer, "tokenizer", "cannot be loaded"),
    "endless": (_template(ENDLESS), "end of answers", "run on until task.max_tokens"),
    "silent template": (_template("hello"), "chat template", "leaves the user's message out"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_would_fail_a_run_is_told_before_it(base: Path, case: str) -> None:
    spoil, subject, words = WRONG[case]
    assert wrong(base) == []
    spoil(base)
    assert subject in wrong(base)
    assert words in found(base)[subject][1]


def test_a_template_without_system_role_can_be_used_and_its_limits_are_said(base: Path) -> None:
    _template(NO_SYSTEM)(base)
    assert wrong(base) == []
    assert "no system role" in found(base)["chat template"][1]
    assert found(base)["earlier turns"] == (True, "rows may have earlier turns")
    _template(ALTERNATES)(base)
    assert wrong(base) == []
    assert "roles must alternate" in found(base)["tool results"][1]


def test_answers_may_end_with_any_token_at_which_generation_stops(base: Path) -> None:
    from transformers import AutoTokenizer  # here, for it takes seconds: every worker of a test run reads this file

    _template(ENDLESS.replace("\n", "<|im_start|>"))(base)  # special: a version of this base stops there
    assert wrong(base) == []
    _template(ENDLESS.replace("\n", "!"))(base)
    assert wrong(base) == ["end of answers"]
    end = AutoTokenizer.from_pretrained(base).convert_tokens_to_ids("!")
    for ids in ([0, end], end):
        (base / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
        assert wrong(base) == []
    for others in (0, [10**9, -1, True], "x", None):
        (base / "generation_config.json").write_text(json.dumps({"eos_token_id": others}))
        assert wrong(base) == ["end of answers"]


def test_memory_is_compared_with_the_machine(base: Path) -> None:
    of = loop(base)
    facts, here = read_facts(of, base / "cache"), machine()
    small = type(here)(1e6, here.gpu, here.bf16, here.bitsandbytes)
    assert [each.subject for each in base_findings(of, facts, small) if not each.ok] == ["memory"]


def test_qlora_needs_bitsandbytes(base: Path) -> None:
    here = machine()
    without = type(here)(here.memory, here.gpu, here.bf16, bitsandbytes=False)
    of = loop(base, method="qlora")
    assert [each.subject for each in base_findings(of, BaseFacts("x"), without) if "bitsandbytes" in each.text] == ["bitsandbytes"]


def test_doctor_shows_what_was_found(base: Path, tmp_path: Path) -> None:
    shown = diagnose_base(loop(base), Home(tmp_path / "home"))
    assert all(each.ok for each in shown)
    assert shown[0].text == str(base)
    [missing] = diagnose_base(loop(tmp_path / "nonesuch"), Home(tmp_path / "home"))
    assert not missing.ok
