"""Greedy answers of a model to many prompts: batched, bucketed by length, written as one Parquet file a model."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from ftassets.domain.answers import AnswerJob
from ftassets.domain.chat import chat
from ftassets.resources.child import Report, die_with_parent

_SAY_EVERY = 5.0  # seconds between progress reports


def answer(job: AnswerJob, report: Report, cores: int = 1) -> None:
    """Write every output file of the job that does not exist yet. Raises ValueError on a prompts file that has no prompts.

    With more than one core and no GPU, forked processes share the prompts: not for a process that has threads.
    """
    missing = []
    for ask in job.asks:
        if ask.output.exists():
            report(f"{ask.output.name}: kept, answered before")
        else:
            missing.append(ask)
    for model, asks in groupby(missing, key=lambda ask: ask.model):
        files = [(ask.output, _prompts(ask.prompts_file)) for ask in asks]
        together = [prompt for _, prompts in files for prompt in prompts]  # one stream: small sets would leave batches half empty
        report(f"model {model.parent.name[:12]}: {len(together)} prompts")
        rows = iter(generate(model, job.system_prompt, together, job.max_tokens, job.batch_size, report, cores))
        for output, prompts in files:
            _write(list(islice(rows, len(prompts))), output)


def _prompts(file: Path) -> list[dict[str, str]]:
    prompts = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    if not prompts:
        raise ValueError(f"{file.name} has no prompts")
    return prompts


@lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", use_safetensors=True, trust_remote_code=False)
    return tokenizer, model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def generate(
    folder: Path, system_prompt: str, prompts: Sequence[dict[str, str]], max_tokens: int, batch_size: int, report: Report, cores: int = 1
) -> list[dict[str, Any]]:
    """Rows {id, answer, tokens_out, truncated} for prompts {id, prompt}, in their order; the model of a folder with merged weights.

    `truncated` says that the answer had no end within `max_tokens`.
    """
    tokenizer, model = _load(folder)
    chats = [chat(system_prompt, prompt["prompt"]) for prompt in prompts]
    texts = [tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) for messages in chats]
    lengths = [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    order = sorted(range(len(texts)), key=lengths.__getitem__)
    workers = 1 if model.device.type == "cuda" else min(cores, len(texts))
    size = min(batch_size, -(-len(texts) // (2 * workers))) if workers > 1 else batch_size
    batches = [order[first : first + size] for first in range(0, len(order), size)]
    rows: list[dict[str, Any]] = [{} for _ in prompts]
    started = said = time.monotonic()
    done = 0
    with _spread(partial(_say, folder, texts, max_tokens), batches, workers) as answered:
        for batch, answers in answered:
            for index, row in zip(batch, answers, strict=True):
                rows[index] = {"id": prompts[index]["id"], **row}
            now, done = time.monotonic(), done + len(batch)
            if now - said >= _SAY_EVERY or done == len(order):
                said = now
                report(f"{done}/{len(order)} answers, {(now - started) / done * (len(order) - done):.0f} s left")
    return rows


@contextmanager
def _spread(say: Callable[[list[int]], Any], batches: list[list[int]], workers: int) -> Iterator[Iterator[Any]]:
    """Results for all batches, from forked processes that share the loaded model when there is more than one worker."""
    if workers == 1:
        yield map(say, batches)
        return
    with multiprocessing.get_context("fork").Pool(workers, initializer=die_with_parent) as pool:
        yield pool.imap_unordered(say, batches)


def _say(folder: Path, texts: Sequence[str], max_tokens: int, batch: list[int]) -> tuple[list[int], list[dict[str, Any]]]:
    import torch

    tokenizer, model = _load(folder)
    end = tokenizer.eos_token_id
    inputs = tokenizer([texts[i] for i in batch], add_special_tokens=False, padding=True, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        written = model.generate(
            **inputs, max_new_tokens=max_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id, eos_token_id=end
        )
    rows = []
    for tokens in written[:, inputs["input_ids"].shape[1] :].tolist():
        ended = end in tokens
        kept = tokens[: tokens.index(end)] if ended else tokens
        text = tokenizer.decode(kept, skip_special_tokens=True).strip()
        rows.append({"answer": text, "tokens_out": len(kept), "truncated": not ended})
    return batch, rows


def _write(rows: Sequence[dict[str, Any]], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.string()), ("answer", pa.string()), ("tokens_out", pa.int64()), ("truncated", pa.bool_())])
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)
    temporary.replace(target)
