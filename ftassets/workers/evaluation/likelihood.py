"""How likely a model finds the expected answers: teacher-forced, batched, written as one Parquet file a model and set of rows."""

import os
import time
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from ftassets.domain.dataset.rows import from_jsonl
from ftassets.domain.evaluation.jobs import AnsweredPrompt, Likelihood, PerplexityJob
from ftassets.errors import InvalidInput
from ftassets.workers.chat_template import NoTemplate, Taught, taught
from ftassets.workers.evaluation.generate import SAY_EVERY, loaded, spread
from ftassets.workers.padding import left_padded
from ftassets.workers.process import Report


def measure_likelihoods(job: PerplexityJob, report: Report, cores: int = 1) -> None:
    """Write every output file of the job that does not exist yet: id, nll (nats, sum of the answer's tokens) and tokens of each row.

    The answer's tokens are those a training teaches: all that the chat template writes behind the prompt, the end of the turn included.
    With more than one core and no GPU, forked processes share the rows: not for a process that has threads. Raises InvalidInput on a row
    whose answer the template leaves out.
    """
    missing = [each for each in job.likelihoods if not each.output.exists()]
    for model, wanted in groupby(missing, key=lambda each: each.model):
        _measure_with(model, list(wanted), job.batch_tokens, report, cores)


def _measure_with(folder: Path, wanted: Sequence[Likelihood], batch_tokens: int, report: Report, cores: int) -> None:
    """All sets of one model as one stream of batches."""
    tokenizer, model = loaded(folder)
    rows = [(each, row) for each in wanted for row in _rows(each.rows_file)]
    read = [_tokens(tokenizer, each.system_prompt, row) for each, row in rows]
    report(f"model {folder.parent.name[:12]}: {len(rows)} expected answers")
    found: dict[int, float] = {}
    started = said = time.monotonic()
    workers = 1 if model.device.type == "cuda" else min(cores, len(rows))
    with spread(partial(_nll, folder, read), _batches(read, batch_tokens), workers) as measured:
        for batch, values in measured:
            found |= dict(zip(batch, values, strict=True))
            if (now := time.monotonic()) - said >= SAY_EVERY:
                said = now
                report(f"{len(found)}/{len(rows)} expected answers, {(now - started) / len(found) * (len(rows) - len(found)):.0f} s left")
    for each in wanted:
        mine = [place for place, (owner, _) in enumerate(rows) if owner is each]
        lines = [{"id": rows[i][1].id, "nll": found[i], "tokens": len(read[i].ids) - read[i].start} for i in mine]
        _write(lines, each.output)


def _rows(file: Path) -> list[AnsweredPrompt]:
    rows = from_jsonl(AnsweredPrompt, file.read_text(encoding="utf-8"))
    if not rows:
        raise InvalidInput(f"{file.name} has no rows")
    return rows


def _tokens(tokenizer: Any, system_prompt: str, row: AnsweredPrompt) -> Taught:
    """A chat as training teaches it."""
    try:
        return taught(tokenizer, system_prompt, row, row.expected)
    except NoTemplate as error:
        raise InvalidInput(f"row {row.id}: {error}") from error


def _batches(read: Sequence[Taught], most: int) -> list[list[int]]:
    """Places by length, so many to a batch that it has no more than `most` tokens with its padding, but at least one."""
    batches: list[list[int]] = []
    for place in sorted(range(len(read)), key=lambda place: len(read[place].ids)):
        if batches and (len(batches[-1]) + 1) * len(read[place].ids) <= most:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _nll(folder: Path, read: Sequence[Taught], batch: list[int]) -> tuple[list[int], list[float]]:
    """Negative log likelihood, in nats, of each answer of a batch."""
    import torch

    _, model = loaded(folder)
    ids, mask = left_padded([read[i].ids for i in batch], model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    answers = [read[i].ids[read[i].start :] for i in batch]
    kept = max(map(len, answers)) + 1  # the token before an answer predicts its first; the vocabulary's logits of a prompt are not needed
    with torch.inference_mode():
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=kept,
        ).logits
        values = [
            torch.nn.functional.cross_entropy(
                row[-len(answer) - 1 : -1].float(), torch.tensor(answer, device=model.device), reduction="sum"
            ).item()
            for row, answer in zip(logits, answers, strict=True)
        ]
    return batch, values


def _write(rows: Sequence[dict[str, Any]], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.string()), ("nll", pa.float64()), ("tokens", pa.int64())])
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)
    temporary.replace(target)
