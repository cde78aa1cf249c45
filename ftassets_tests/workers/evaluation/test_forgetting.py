import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import rel_entr

from ftassets.domain.chat import chat, question
from ftassets.domain.evaluation.jobs import ForgettingJob, Prompt
from ftassets.errors import InvalidInput
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.evaluation.forgetting import _divergences, measure_forgetting
from ftassets.workers.evaluation.generate import load

pytestmark = pytest.mark.models

PROMPTS = [Prompt(id=f"p{n}", messages=question("turn on " * n)) for n in range(1, 6)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base, another model whose weights are a little different, and one whose tokens have other numbers."""
    import torch

    folder = tmp_path_factory.mktemp("models")
    found = {name: make_tiny_model(folder / name) for name in ("base", "moved", "foreign")}
    _, model = load(found["moved"])
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight += 0.1 * torch.randn(64, 128, generator=torch.Generator().manual_seed(1)).bfloat16()
    model.save_pretrained(found["moved"])
    tokenizer = json.loads((found["foreign"] / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["q"], vocabulary["z"] = vocabulary["z"], vocabulary["q"]
    (found["foreign"] / "tokenizer.json").write_text(json.dumps(tokenizer))
    return found


def a_job(folder: Path, models: dict[str, Path], candidate: str, *others: str, **changes: object) -> ForgettingJob:
    where = {"base": models["base"], "candidate": models[candidate], "output": folder / "found.parquet", "work": folder / "work"}
    return ForgettingJob(**where | {"others": {name: models[name] for name in others}, "prompts": PROMPTS, "tokens": 6} | changes)


def found(job: ForgettingJob, cores: int = 1) -> dict[str, list[float]]:
    measure_forgetting(job, lambda _: None, cores)
    rows = pq.read_table(job.output).to_pylist()
    assert not list(job.work.glob("*")), "what is large does not stay"
    return {role: [row["kl"] for row in rows if row["role"] == role] for role in job.others}


def test_it_is_the_divergence_of_the_next_token_that_torch_finds(tmp_path, models):
    import torch

    (tokenizer, base), (_, moved) = load(models["base"]), load(models["moved"])
    values = found(a_job(tmp_path, models, "moved", "base"))["base"]
    assert len(values) == len(PROMPTS)
    for prompt, value in zip(PROMPTS, values, strict=True):
        asked = tokenizer.apply_chat_template(chat("", prompt).messages, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([tokenizer(asked, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            written = base.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)[0]
        text = tokenizer.decode(written[ids.shape[1] :], skip_special_tokens=True).strip()
        said = tokenizer(text, add_special_tokens=False)["input_ids"]
        whole = torch.tensor([ids[0].tolist() + said])
        with torch.inference_mode():
            p, q = (model(whole).logits[0, ids.shape[1] - 1 :].float().log_softmax(-1) for model in (base, moved))
        oracle = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1).mean().item()
        assert value == pytest.approx(oracle, rel=0.05, abs=1e-3)  # other batches round bfloat16 differently
    assert min(values) > 0.001


def test_a_model_is_at_no_distance_from_itself_and_roles_may_be_one_model(tmp_path, models):
    job = a_job(tmp_path, models, "base", "base", others={"base": models["base"], "production": models["base"]})
    assert found(job) == {role: pytest.approx([0.0] * len(PROMPTS), abs=1e-6) for role in ("base", "production")}


def test_tokens_that_cannot_come_add_nothing_and_the_sum_is_exact(tmp_path):
    draw = np.random.default_rng(0)
    kept, logprobs = (np.log(draw.dirichlet(np.ones(50), size=4)).astype(np.float32) for _ in range(2))
    kept[1, 7] = logprobs[2, 9] = kept[2, 9] = -np.inf
    np.save(tmp_path / "0.npy", kept)
    exact = rel_entr(np.exp(kept, dtype=np.float64), np.exp(logprobs, dtype=np.float64)).sum(-1).mean()
    assert _divergences([tmp_path], 0, logprobs) == [pytest.approx(exact, rel=1e-9)]


def test_a_candidate_whose_probabilities_are_no_numbers_has_not_stayed_where_it_was(tmp_path, models):
    import torch

    broken = make_tiny_model(tmp_path / "broken")
    _, model = load(broken)
    with torch.no_grad():
        model.model.norm.weight[0] = torch.inf
    model.save_pretrained(broken)
    with pytest.raises(InvalidInput, match=r"general prompt \d is nan"):
        measure_forgetting(a_job(tmp_path, models | {"broken": broken}, "broken", "base"), lambda _: None)


def test_processes_find_what_one_finds(tmp_path, models):
    alone, together = (found(a_job(tmp_path, models, "moved", "base", output=tmp_path / f"{n}.parquet"), n)["base"] for n in (1, 2))
    assert together == pytest.approx(alone, rel=0.05, abs=1e-3)


def test_a_model_whose_tokens_have_other_numbers_is_not_compared(tmp_path, models):
    assert found(a_job(tmp_path, models, "moved", "base", "foreign"))["foreign"] == []


def test_what_is_there_is_kept(tmp_path, models):
    job = a_job(tmp_path, models, "moved", "base")
    job.output.write_text("mine")
    measure_forgetting(job, lambda _: pytest.fail("nothing was to be done"))
    assert job.output.read_text() == "mine"


def test_a_template_that_takes_no_question_alone_measures_nothing_and_says_so(tmp_path, models):
    strict = make_tiny_model(tmp_path / "strict")
    template = strict / "chat_template.jinja"
    template.write_text("{% if messages[0]['role'] != 'system' %}{{ raise_exception('no system') }}{% endif %}" + template.read_text())
    said: list[str] = []
    job = a_job(tmp_path, models | {"base": strict}, "moved", "base")
    measure_forgetting(job, said.append)
    assert pq.read_table(job.output).num_rows == 0
    assert any("forgetting is not measured" in line and "no system" in line for line in said)
