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
from ftassets.metering import count
from ftassets.workers.chat_template import NoTemplate, Taught, taught
from ftassets.workers.evaluation.generate import SAY_EVERY, loaded, spread
from ftassets.workers.padding import batches_of, left_padded
from ftassets.workers.process import Report


def measure_likelihoods(job: PerplexityJob, report: Report, cores: int = 1) -> None:
    """Write every output file of the job that does not exist yet: id, nll (nats, sum of the answer's tokens) and tokens of each row.

    The answer's tokens are those a training teaches: all that the chat template writes behind the prompt, the end of the turn included.
    A row whose conversation the template does not take has neither, and is reported. With more than one core and no GPU, forked processes
    share the rows: not for a process that has threads. Raises InvalidInput if the template takes none of a file.
    """
    missing = [each for each in job.likelihoods if not each.output.exists()]
    for model, wanted in groupby(missing, key=lambda each: each.model):
        _measure_with(model, list(wanted), job.batch_tokens, report, cores)


def _measure_with(folder: Path, wanted: Sequence[Likelihood], batch_tokens: int, report: Report, cores: int) -> None:
    """All sets of one model as one stream of batches."""
    tokenizer, model = loaded(folder)
    rows = [(each, row) for each in wanted for row in _rows(each.rows_file)]
    read, refused = _tokens(tokenizer, rows)
    report(f"model {folder.parent.name[:12]}: {len(rows)} expected answers")
    found: dict[int, float] = {}
    started = said = time.monotonic()
    workers = 1 if model.device.type == "cuda" else min(cores, len(rows))
    if refused:
        place = min(refused)
        first = f"the first is that of row {rows[place][1].id}: {refused[place]}"
        report(f"{len(refused)} of {len(rows)} expected answers have no likelihood, {first}")
    lengths = {place: len(each.ids) for place, each in enumerate(read) if place not in refused}
    with spread(partial(_nll, folder, read), batches_of(lengths, batch_tokens), workers) as measured:
        for batch, values in measured:
            found |= dict(zip(batch, values, strict=True))
            count(tokens_read=sum(len(read[place].ids) for place in batch))
            if (now := time.monotonic()) - said >= SAY_EVERY:
                said, total = now, len(rows) - len(refused)
                report(f"{len(found)}/{total} expected answers, {(now - started) / len(found) * (total - len(found)):.0f} s left")
    for each in wanted:
        mine = [place for place, (owner, _) in enumerate(rows) if owner is each]
        lines = [
            {"id": rows[i][1].id, "nll": found.get(i), "tokens": None if i in refused else len(read[i].ids) - read[i].start} for i in mine
        ]
        _write(lines, each.output)


def _rows(file: Path) -> list[AnsweredPrompt]:
    rows = from_jsonl(AnsweredPrompt, file.read_text(encoding="utf-8"))
    if not rows:
        raise InvalidInput(f"{file.name} has no rows")
    return rows


def _tokens(tokenizer: Any, rows: Sequence[tuple[Likelihood, AnsweredPrompt]]) -> tuple[list[Taught], dict[int, str]]:
    """The chats as training teaches them, and by place why the template does not take one. Raises InvalidInput if it takes none."""
    read: list[Taught] = []
    refused: dict[int, str] = {}
    for place, (each, row) in enumerate(rows):
        try:
            read.append(taught(tokenizer, each.system_prompt, row, row.expected))
        except NoTemplate as error:
            refused[place] = str(error)
            read.append(Taught([], 0))
            if len(refused) == len(rows):
                raise InvalidInput(f"row {rows[0][1].id}: {refused[0]}") from error
    return read, refused


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

    write_table(rows, pa.schema([("id", pa.string()), ("nll", pa.float64()), ("tokens", pa.int64())]), target)


def write_table(rows: Sequence[dict[str, Any]], schema: Any, target: Path) -> None:
    """Write a Parquet file of the rows in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)
    temporary.replace(target)
