"""Answers of a model to many prompts: batched, bucketed by length, written as one Parquet file a model."""

import multiprocessing
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import Chat, chat
from ftassets.domain.dataset.rows import from_jsonl
from ftassets.domain.evaluation.jobs import AnswerJob, Ask, Prompt
from ftassets.errors import InvalidInput
from ftassets.metering import count
from ftassets.wording import amount
from ftassets.workers.chat_template import NoTemplate, prompt_ids, stop_ids
from ftassets.workers.evaluation.partial import PartialAnswers, discard
from ftassets.workers.number_format import answer_dtype
from ftassets.workers.padding import left_padded
from ftassets.workers.process import Report, die_with_parent

SAY_EVERY = 5.0  # seconds between progress reports


def answer(job: AnswerJob, report: Report, cores: int = 1) -> None:
    """Write every output file of the job that does not exist yet. Raises InvalidInput on a prompts file that has no prompts.

    Batches that a killed process had finished are read from the partial file next to the output; the other batches are composed
    as before, so that the answers are the same. With more than one core and no GPU, forked processes share the
    prompts: not for a process that has threads.
    """
    missing = []
    for ask in job.asks:
        if ask.output.exists():
            report(f"{ask.output.name}: kept, answered before")
            discard(ask.output)
        else:
            missing.append(ask)
    for _, asks in groupby(missing, key=lambda ask: (ask.model, ask.decoding, ask.seed)):
        _answer_with(list(asks), job, report, cores)


def _answer_with(asks: Sequence[Ask], job: AnswerJob, report: Report, cores: int) -> None:
    """All asks of one model and one decoding as one stream: small sets would leave batches half empty."""
    model, decoding, seed = asks[0].model, asks[0].decoding, asks[0].seed
    files = []
    places: list[tuple[PartialAnswers, int]] = []
    chats: list[Chat] = []
    for ask in asks:
        prompts = _prompts(ask.prompts_file)
        system_prompt = job.system_prompt if ask.system_prompt is None else ask.system_prompt
        ids = [prompt.id for prompt in prompts]
        asked = [chat(system_prompt, prompt) for prompt in prompts]
        sampling = [decoding, seed] if decoding["do_sample"] else []
        kept = PartialAnswers(ask.output, digest_of([str(model), job.max_tokens, ids, asked, *sampling]))
        files.append((ask.output, ids, kept))
        places += [(kept, place) for place in range(len(prompts))]
        chats += asked
    known = {index for index, (kept, place) in enumerate(places) if place in kept.rows}
    report(f"model {model.parent.name[:12]}: {len(chats)} prompts{f', {len(known)} of them answered before' if known else ''}")
    for rows in generate(model, chats, job.max_tokens, job.batch_size, report, cores, known, job.again, decoding, seed):
        for _, _, kept in files:
            kept.add({places[index][1]: row for index, row in rows.items() if places[index][0] is kept})
    for output, ids, kept in files:
        _write([{"id": row_id, **kept.rows[place]} for place, row_id in enumerate(ids)], output)
        discard(output)


def _prompts(file: Path) -> list[Prompt]:
    prompts = from_jsonl(Prompt, file.read_text(encoding="utf-8"))
    if not prompts:
        raise InvalidInput(f"{file.name} has no prompts")
    return prompts


def load(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, in the number format of `answer_dtype`, on the GPU when there is one.

    The model's own generation settings are gone but for its special tokens: answers are decoded as `decoding` says, as on the server.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=answer_dtype(), use_safetensors=True, trust_remote_code=False)
    own = model.generation_config
    model.generation_config = GenerationConfig(bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id)
    return tokenizer, model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


loaded = lru_cache(maxsize=1)(load)  # forked processes have it too


def generate(
    folder: Path,
    chats: Sequence[Chat],
    max_tokens: int,
    batch_size: int,
    report: Report,
    cores: int = 1,
    known: Collection[int] = (),
    again: bool = False,
    decoding: Mapping[str, Any] = MappingProxyType({"do_sample": False}),
    seed: int = 0,
) -> Iterator[dict[int, dict[str, Any]]]:
    """Answers {answer, tokens_in, tokens_out, truncated} of a folder's model, by the chat's place in `chats`, batch after batch.

    `truncated` says that the answer had no end within `max_tokens`. Batches do not depend on `known`, the places whose answer is not
    needed any more: a batch of which one is needed is answered whole. `again`: the batches are others than without it. A conversation
    that the model's chat template does not take gets an empty answer, and is reported. Sampled answers follow from `seed` and the
    batches, which depend on the number of cores. Raises NoTemplate if it takes none.
    """
    if len(known) == len(chats):
        return
    tokenizer, model = loaded(folder)
    prompts, refused = _tokens(tokenizer, chats)
    if refused:
        place, reason = next(iter(refused.items()))
        report(f"{len(refused)} of {len(chats)} prompts have an empty answer, the first is number {place + 1}: {reason}")
        yield {place: {"answer": "", "tokens_in": 0, "tokens_out": 0, "truncated": False} for place in refused}
    ends = stop_ids(tokenizer, model.generation_config.eos_token_id)
    order = sorted((place for place in range(len(prompts)) if place not in refused), key=lambda place: len(prompts[place]))
    workers = 1 if model.device.type == "cuda" else min(cores, len(prompts))
    size = min(batch_size, -(-len(prompts) // (2 * workers))) if workers > 1 else batch_size
    if again:
        size = min(size, len(prompts)) // 2 or 2
    batches = [order[first : first + size] for first in range(0, len(order), size)]
    batches = [batch for batch in batches if not all(index in known for index in batch)]
    total = sum(map(len, batches))
    started = said = time.monotonic()
    done = 0
    with spread(partial(_say, folder, prompts, ends, max_tokens, dict(decoding), seed), batches, workers) as answered:
        for batch, answers in answered:
            count(tokens_read=sum(row["tokens_in"] for row in answers), tokens_written=sum(row["tokens_out"] for row in answers))
            yield dict(zip(batch, answers, strict=True))
            now, done = time.monotonic(), done + len(batch)
            if now - said >= SAY_EVERY or done == total:
                said = now
                report(f"{done}/{amount(total, 'answer')}, {(now - started) / done * (total - done):.0f} s left")


def _tokens(tokenizer: Any, chats: Sequence[Chat]) -> tuple[list[list[int]], dict[int, str]]:
    """The token ids of each prompt, and by place why the chat template does not take it. Raises NoTemplate if it takes none."""
    prompts: list[list[int]] = []
    refused: dict[int, str] = {}
    for place, asked in enumerate(chats):
        try:
            prompts.append(prompt_ids(tokenizer, asked))
        except NoTemplate as error:
            refused[place] = str(error)
            prompts.append([])
            if len(refused) == len(chats):
                raise
    return prompts, refused


@contextmanager
def spread(say: Callable[[list[int]], Any], batches: list[list[int]], workers: int) -> Iterator[Iterator[Any]]:
    """What `say` returns for each batch, in any order; from forked processes that share the loaded model if there are more workers.

    Raises BrokenProcessPool when one of them is killed.
    """
    if workers == 1:
        yield map(say, batches)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), die_with_parent)
    try:
        asked = [pool.submit(say, batch) for batch in batches]
        yield (each.result() for each in as_completed(asked))
    finally:
        pool.shutdown(cancel_futures=True)


def _say(
    folder: Path, prompts: Sequence[list[int]], ends: list[int], max_tokens: int, decoding: Mapping[str, Any], seed: int, batch: list[int]
) -> tuple[list[int], list[dict[str, Any]]]:
    import torch

    tokenizer, model = loaded(folder)
    asked = [prompts[i] for i in batch]
    ids, mask = left_padded(asked, model.device)
    if decoding["do_sample"]:
        torch.manual_seed(int(digest_of([seed, batch])[:15], 16))
    with torch.inference_mode():
        written = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, pad_token_id=ends[0], eos_token_id=ends, **decoding
        )
    rows = []
    for prompt, tokens in zip(asked, written[:, ids.shape[1] :].tolist(), strict=True):
        end = next((place for place, token in enumerate(tokens) if token in ends), None)
        text = tokenizer.decode(tokens[:end], skip_special_tokens=True).strip()
        rows.append({"answer": text, "tokens_in": len(prompt), "tokens_out": len(tokens[:end]), "truncated": end is None})
    return batch, rows


def _write(rows: Sequence[dict[str, Any]], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": pa.string(), "answer": pa.string(), "tokens_in": pa.int64(), "tokens_out": pa.int64(), "truncated": pa.bool_()}
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(columns)), temporary)
    with suppress(FileExistsError):  # another process was first, and its answers may have been scored already
        os.link(temporary, target)
    temporary.unlink()
