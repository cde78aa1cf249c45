"""DPO on corrections and KTO on thumbs against the fine-tuned version, on the demo's base and task.

The feedback is simulated: users rate each right answer of the fine-tuned version up and each wrong one down, and correct all wrong
ones. Nobody rates by mistake, so that real feedback teaches less. Each training begins from the same fine-tuned version and sees the
same requests; "SFT on the corrections" is taught the right answers to them instead. Margins are of wrong answers to requests
that none of them was trained on, exact match is of further requests. Every difference is paired, with its 95 % interval. It takes some
11 CPU-minutes; --full has not been run, it should take about four times as long.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bench.demo_job import LOOP, demo_job, demo_loop, demo_train
from bench.rows import Row, Size, parse, parser, write
from ftassets.config.loop import Align, LoopConfig
from ftassets.demo.voice_commands import DRIFTED, ESTABLISHED, draw
from ftassets.domain.chat import chat, question
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.dataset.rows import Example, to_jsonl
from ftassets.domain.evaluation.jobs import AnsweredPrompt, Likelihood, PerplexityJob
from ftassets.domain.evaluation.scoring import score
from ftassets.domain.gates.alignment import Alignment, Measured, decide
from ftassets.domain.gates.evidence import tested
from ftassets.domain.release.version import ADAPTER, MERGED
from ftassets.domain.training.aligned_train import aligned_train
from ftassets.domain.training.job import TrainingJob
from ftassets.workers.evaluation.generate import generate
from ftassets.workers.evaluation.likelihood import measure_likelihoods
from ftassets.workers.process import set_up_libraries
from ftassets.workers.training.sft import train

SIZES = {
    "rows": Size(200, 520, "rows that the version is fine-tuned on"),
    "asked": Size(240, 1200, "requests that users rate, of which a third is held out"),
    "answers": Size(160, 400, "further requests, on which exact match is measured"),
}
RATES = (5e-6, 1e-4)  # the default, and a rate that is usual for LoRA


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    options = parse(parser("alignment", __doc__), SIZES, arguments)
    return write("alignment", measure(options))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """The fine-tuned version, then each training from it."""
    set_up_libraries()
    with tempfile.TemporaryDirectory() as name:
        yield from _measured(Path(name), options)


def _measured(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    loop, versions = demo_loop(), folder / "versions"
    rows = _requests(options.rows + options.asked + options.answers)
    taught, asked, further = rows[: options.rows], rows[options.rows : -options.answers], rows[-options.answers :]
    settings = demo_train()
    tuned_job = demo_job(folder / "tuned", versions, settings, taught, further[:8])
    tuned = train(tuned_job, _say)
    said = _answers(tuned_job, tuned.digest, asked)
    right = [_right(loop, row, answer) for row, answer in zip(asked, said, strict=True)]
    cut = 2 * len(asked) // 3
    pairs = [(place, _pair(row, answer)) for place, (row, answer) in enumerate(zip(asked, said, strict=True)) if not right[place]]
    trained, held_out = ([pair for place, pair in pairs if (place < cut) is first] for first in (True, False))
    rated = [_rated(row, answer, ok) for row, answer, ok in zip(asked[:cut], said, right, strict=False)]
    before = _values(folder, loop, tuned_job, tuned.digest, held_out, further)
    yield Row("fine-tuned: exact match", float(np.mean(before[1])), "share")
    yield Row("fine-tuned: mean margin of held-out pairs", float(np.mean(before[0])), "nats")
    yield Row("pairs trained on", len(trained), "pairs")
    yield Row("pairs held out", len(held_out), "pairs")
    yield Row("rated answers trained on", len(rated), "rows")
    yield Row("of these rated up", sum(row.rating == "up" for row in rated), "rows")
    start = tuned_job.versions / tuned.digest / ADAPTER
    corrected = [Example(id=pair.request_id, messages=pair.messages, completion=pair.chosen) for pair in trained]
    job = demo_job(folder / "sft", versions, demo_train(epochs=1), corrected, further[:8]).model_copy(update={"start_from": start})
    yield from _compared("SFT on the corrections", folder, loop, job, before, held_out, further, None)
    for method, preferences in (("dpo", trained), ("kto", rated)):
        for rate in RATES:
            align = Align(method=method, learning_rate=rate, margin=0.05)
            job = demo_job(folder / f"{method}-{rate}", versions, aligned_train(settings, align), preferences, preferences[:8])
            job = job.model_copy(update={"align": align, "preferences_commit": "0" * 40, "start_from": start})
            yield from _compared(f"{method} at {rate:g}", folder, loop, job, before, held_out, further, align)


def _compared(
    name: str,
    folder: Path,
    loop: LoopConfig,
    job: TrainingJob,
    before: tuple[list[float], list[float]],
    held_out: Sequence[Pair],
    further: Sequence[Example],
    align: Align | None,
) -> Iterator[Row]:
    """A training's version beside the fine-tuned one, and what the decision would be on these rows."""
    result = train(job, _say)
    margins, scores = _values(folder, loop, job, result.digest, held_out, further)
    gained = tested([float(np.heaviside(new - old, 0.5)) for old, new in zip(before[0], margins, strict=True)], (0, 1), 0.5, 0.975)
    better = tested([new - old for old, new in zip(before[1], scores, strict=True)], (-1, 1), 0.0, 0.975)
    yield Row(f"{name}: steps", result.steps, "steps")
    yield Row(f"{name}: mean margin of held-out pairs", float(np.mean(margins)), "nats", peer=float(np.mean(before[0])), peer_name="before")
    yield Row(f"{name}: held-out pairs whose margin grew ({gained.lower:.2f} to {gained.upper:.2f})", gained.value, "share")
    yield Row(f"{name}: exact match", float(np.mean(scores)), "share", peer=float(np.mean(before[1])), peer_name="before")
    yield Row(f"{name}: gain of exact match ({better.lower:+.3f} to {better.upper:+.3f})", better.value, "share")
    if align is not None:
        names = {"loop": LOOP, "run_id": "", "tuned": "", "aligned": "", "dataset_commit": "", "preferences_commit": "", "method": "dpo"}
        both = [
            [Measured(unit=str(place), tuned=old, aligned=new) for place, (old, new) in enumerate(zip(was, now, strict=True))]
            for was, now in ((before[1], scores), (before[0], margins))
        ]
        decision = decide(Alignment(**names, metric="exact_match", scores=both[0], preferences=both[1]), Align(method="dpo", margin=0.05))
        _say(f"{name}: {decision.verdict.value}: {decision.sentence}")


def _requests(count: int) -> list[Example]:
    return [
        Example(id=f"request-{place:04}", messages=question(each.text), completion=each.answer)
        for place, each in enumerate(draw((*ESTABLISHED, *DRIFTED), count, 7, withheld=False))
    ]


def _answers(job: TrainingJob, digest: str, rows: Sequence[Example]) -> list[str]:
    prompts = [chat(job.task.system_prompt, row) for row in rows]
    found = generate(job.versions / digest / MERGED, prompts, job.task.max_tokens, 32, _say)
    said = {place: row for part in found for place, row in part.items()}
    return [said[place]["answer"] for place in range(len(rows))]


def _right(loop: LoopConfig, row: Example, answer: str) -> bool:
    return score(row.id, "", answer, row.completion, loop.task.form).exact


def _values(
    folder: Path, loop: LoopConfig, job: TrainingJob, digest: str, pairs: Sequence[Pair], rows: Sequence[Example]
) -> tuple[list[float], list[float]]:
    """Margins of the pairs in nats, and 1 for each row that the version answers rightly, else 0."""
    likelihoods: list[list[float]] = []
    for name in ("chosen", "rejected"):
        lines = [
            AnsweredPrompt(id=str(place), messages=pair.messages, expected=getattr(pair, name), slice="")
            for place, pair in enumerate(pairs)
        ]
        asked, output = folder / f"{name}.jsonl", folder / f"{digest}-{name}.parquet"
        asked.write_text(to_jsonl(lines))
        of = Likelihood(model=job.versions / digest / MERGED, rows_file=asked, output=output, system_prompt=job.task.system_prompt)
        measure_likelihoods(PerplexityJob(likelihoods=[of], work=folder), _say)
        likelihoods.append([-nll for nll in pq.read_table(output)["nll"].to_pylist()])
    margins = [chosen - rejected for chosen, rejected in zip(*likelihoods, strict=True)]
    return margins, [float(_right(loop, row, answer)) for row, answer in zip(rows, _answers(job, digest, rows), strict=True)]


def _pair(row: Example, answer: str) -> Pair:
    return Pair(messages=row.messages, chosen=row.completion, rejected=answer or " ", source="correction", **_known(row))


def _rated(row: Example, answer: str, right: bool) -> Rated:
    return Rated(messages=row.messages, answer=answer or " ", rating="up" if right else "down", source="thumbs", **_known(row))


def _known(row: Example) -> dict[str, Any]:
    return {"request_id": row.id, "user": "simulated", "at": 0.0, "version": "tuned", "weight": 100.0}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
