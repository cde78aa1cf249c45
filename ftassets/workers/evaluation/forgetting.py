"""A candidate's divergence from other models on general prompts: every model reads the base's own answers."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ftassets.domain.chat import chat
from ftassets.domain.evaluation.jobs import ForgettingJob
from ftassets.errors import InvalidInput
from ftassets.metering import count
from ftassets.workers.chat_template import NoTemplate, answer_ids, prompt_ids
from ftassets.workers.evaluation.generate import generate, loaded, spread
from ftassets.workers.evaluation.likelihood import write_table
from ftassets.workers.padding import batches_of, left_padded
from ftassets.workers.process import Report

_BATCH_TOKENS = 512  # few: each place of an answer takes a number for every token of the vocabulary

_Read = tuple[list[int], list[int]]  # token ids of a prompt, and of the answer to it


def measure_forgetting(job: ForgettingJob, report: Report, cores: int = 1) -> None:
    """Write the job's output, unless it is there. One model at a time is in memory.

    Each model reads the prompts by its own chat template, without a system prompt. Probabilities are those of the base's vocabulary: a
    version with learned tokens in front of its prompts has more. With more than one core and no GPU, forked processes share the prompts:
    not for a process that has threads. Raises InvalidInput for a model whose probabilities are not numbers.
    """
    if job.output.exists():
        return
    try:
        answers = _answers(job, report, cores)
    except NoTemplate as error:
        report(f"forgetting is not measured: {error}")
        _write([], job.output)
        return
    others = {role: folder for role, folder in job.others.items() if _reads_alike(job.base, folder, answers)}
    tokens = int(loaded(job.base)[1].get_output_embeddings().weight.shape[0])
    stores = {folder: job.work / f"logprobs-{number}" for number, folder in enumerate(dict.fromkeys(others.values()))}
    try:
        for folder, store in stores.items():
            store.mkdir(parents=True, exist_ok=True)
            _each_prompt(folder, job, answers, partial(_keep, store), tokens, report, cores)
        found = _each_prompt(job.candidate, job, answers, partial(_divergences, list(stores.values())), tokens, report, cores)
    finally:
        for store in stores.values():
            shutil.rmtree(store, ignore_errors=True)
    place = {folder: number for number, folder in enumerate(stores)}
    rows = [
        {"role": role, "id": prompt.id, "kl": values[place[folder]]}
        for role, folder in others.items()
        for prompt, values in zip(job.prompts, found, strict=True)
    ]
    _write(rows, job.output)


def _answers(job: ForgettingJob, report: Report, cores: int) -> list[str]:
    """The base's answers, in the order of the prompts. Raises NoTemplate if its template does not take a question alone."""
    chats = [chat("", prompt) for prompt in job.prompts]
    prompt_ids(loaded(job.base)[0], chats[0])
    said: dict[int, str] = {}
    for rows in generate(job.base, chats, job.tokens, len(chats), report, cores):
        said |= {number: row["answer"] for number, row in rows.items()}
    return [said[number] for number in range(len(chats))]


def _reads_alike(base: Path, other: Path, answers: Sequence[str]) -> bool:
    """Whether tokens have the same numbers in both models."""
    from transformers import AutoTokenizer

    ours = loaded(base)[0]
    theirs = AutoTokenizer.from_pretrained(other, trust_remote_code=False)
    same = all(answer_ids(ours, answer) == answer_ids(theirs, answer) for answer in answers)
    return same and ours.get_vocab().items() <= theirs.get_vocab().items()


def _each_prompt(
    folder: Path, job: ForgettingJob, answers: Sequence[str], do: Callable[[int, Any], Any], tokens: int, report: Report, cores: int
) -> list[Any]:
    """What `do` makes of each prompt's number and of a model's log probabilities at the places of its answer, (places, tokens)."""
    tokenizer, model = loaded(folder)
    report(f"model {folder.parent.name[:12]}: {len(answers)} general prompts")
    read = [
        (prompt_ids(tokenizer, chat("", prompt)), answer_ids(tokenizer, answer))
        for prompt, answer in zip(job.prompts, answers, strict=True)
    ]
    lengths = {number: len(prompt) + len(said) for number, (prompt, said) in enumerate(read)}
    count(tokens_read=sum(lengths.values()))
    workers = 1 if model.device.type == "cuda" else min(cores, len(read))
    made: dict[int, Any] = {}
    with spread(partial(_read_batch, folder, read, do, tokens), batches_of(lengths, _BATCH_TOKENS), workers) as results:
        for of_batch in results:
            made |= of_batch
    return [made[number] for number in range(len(read))]


def _read_batch(folder: Path, read: Sequence[_Read], do: Callable[[int, Any], Any], tokens: int, batch: list[int]) -> dict[int, Any]:
    import torch

    _, model = loaded(folder)
    ids, mask = left_padded([read[number][0] + read[number][1] for number in batch], model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    places = [len(read[number][1]) + 1 for number in batch]  # the token before an answer predicts its first one
    with torch.inference_mode():
        logits = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=max(places)
        ).logits  # fmt: skip
        return {
            number: do(number, row[-many:, :tokens].float().log_softmax(-1).cpu().numpy())
            for number, row, many in zip(batch, logits, places, strict=True)
        }


def _keep(store: Path, number: int, logprobs: Any) -> None:
    np.save(store / f"{number}.npy", logprobs)


def _divergences(stores: Sequence[Path], number: int, logprobs: Any) -> list[float]:
    """The mean divergence in nats from each model whose log probabilities are stored: sum of p (log p - log q), over all tokens.

    A token that cannot come, p = 0, adds nothing. Raises InvalidInput if a divergence is not a number: it must not count as none.
    """
    found = []
    for store in stores:
        kept = np.load(store / f"{number}.npy").astype(np.float64)
        likely = np.exp(kept)
        apart = np.subtract(kept, logprobs, out=np.zeros_like(kept), where=likely != 0)
        value = float((likely * apart).sum(axis=-1).mean())
        if not isfinite(value):
            raise InvalidInput(
                f"the candidate's divergence at general prompt {number + 1} is {value}: its probabilities, or those of the model it is "
                "compared with, are not numbers, as when weights overflow; train it again with a lower train.learning_rate"
            )
        found.append(max(0.0, value))  # rounding may leave less than 0
    return found


def _write(rows: Sequence[dict[str, Any]], target: Path) -> None:
    import pyarrow as pa

    write_table(rows, pa.schema([("role", pa.string()), ("id", pa.string()), ("kl", pa.float64())]), target)
