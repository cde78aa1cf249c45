"""The trainer against bare TRL scripts with the same settings, and the training methods side by side, on the demo's base and rows.

Each training runs in a fresh interpreter with one thread; ours and the peer take turns, so that both see the same machine, and medians
count. Speed is tokens without padding per CPU-second of the steps alone. On two cores the slower process of each step counts, as it does
where both cores are idle; tokens a second are shown, and say little on a machine with other work.
The loss of each step is compared with that of TRL's on the same batches in fp32: bf16 rounds the two ways of summing differently.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bench.demo_job import LOOP, demo_job, demo_loop, demo_train
from bench.rows import CannotMeasure, Row, Size, environment, parse, parser, write
from ftassets.assets.eval_report.forgetting import general_prompts
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS
from ftassets.domain.chat import chat
from ftassets.domain.dataset.rows import Example, parse_jsonl
from ftassets.domain.evaluation.jobs import ForgettingJob
from ftassets.domain.evaluation.scoring import score
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.left_out import TaughtRows
from ftassets.testing.ray_cluster import ray_cluster
from ftassets.workers.evaluation.forgetting import measure_forgetting
from ftassets.workers.evaluation.generate import generate
from ftassets.workers.process import set_up_libraries
from ftassets.workers.training import on_ray, replicas, sft
from ftassets.workers.training.base_models import ensure_base
from ftassets.workers.training.methods import METHODS
from ftassets.workers.training.objectives import objectives_of
from ftassets.workers.training.objectives.taught_answers import TaughtAnswers
from ftassets.workers.training.points import tracking
from ftassets.workers.training.steps import Progress, Steps, make_trainer, run_steps

OURS, TRL, NAIVE = "ours", "trl", "naive"
SAME_LOSS, SAME_ON_RAY = 1e-4, 1e-3
RATES = {"full": 2e-5, "prefix": 1e-2}  # of the others the demo's
TABLE = {
    "lora, fp32": ("lora", False),
    "lora, bf16": ("lora", True),
    "qlora": ("qlora", True),
    "prefix": ("prefix", True),
    "full": ("full", True),
}  # name -> method, and whether it computes in bf16
ON_RAY = {"two Ray workers": 2, "one Ray worker": 1}
_NOTHING = TaughtAnswers(TaughtRows([]))  # no validation, which TRL's script has not either
SIZES = {
    "rows": Size(96, 640, "rows of the demo's seed to train on"),
    "answers": Size(32, 160, "other rows, on which each method's exact match is measured"),
    "runs": Size(1, 3, "runs of each script, of which the median counts"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("training", __doc__)
    made.add_argument("--what", choices=PARTS, help="only these rows; those of ray are not measured without it")
    made.add_argument("--one", help=argparse.SUPPRESS)
    made.add_argument("--ray", help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parse(made, SIZES, arguments)
    if options.one:
        print(json.dumps(_one(options)))
        return 0
    return write("training", measure(options))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Speed and loss against TRL, one core against two, then the methods."""
    set_up_libraries()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ensure_base(demo_loop().base_model, folder / "versions", Home.from_env().cache)
        for what, part in PARTS.items():
            if options.what == what or options.what is None and part is not ray:
                yield from part(folder, options)


def speed(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Ours beside the same settings in a bare script, and beside the script that most begin with."""
    found: dict[str, list[dict[str, Any]]] = {OURS: [], TRL: [], NAIVE: []}
    for _ in range(options.runs):
        for name, runs in found.items():
            runs.append(_child(name, folder, options))
    ours, trl, naive = (statistics.median(run["tokens"] / run["cpu"] for run in runs) for runs in found.values())
    unit = "tokens/CPU-s"
    yield Row(
        "trained tokens, our trainer", ours, unit, ">= 0.97 of the peer", ours >= 0.97 * trl, trl, "a TRL script with the same settings"
    )
    yield Row("trained tokens, our trainer", ours, unit, ">= 1.3 of the peer", ours >= 1.3 * naive, naive, "a TRL script in fp32")
    pairs = list(zip(*(_child(f"{name}, fp32", folder, options)["losses"] for name in (OURS, TRL)), strict=True))
    gap = max(abs(one - other) for one, other in pairs)
    yield Row(f"largest difference of the loss, {len(pairs)} steps", gap, "nats", f"<= {SAME_LOSS:g}", gap <= SAME_LOSS)


def cores(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Two replicas beside one."""
    if (os.cpu_count() or 1) < 2:
        raise CannotMeasure("this machine has one core")
    found: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
    for _ in range(options.runs):
        for name, runs in found.items():
            runs.append(_child(name, folder, options))
    one, two = ({name: statistics.median(run[name] for run in runs) for name in ("path", "speed")} for runs in found.values())
    what, goal = "CPU-seconds of the slower process, summed over the steps, two cores", "<= 1 / 1.5 of the peer"
    yield Row(what, two["path"], "CPU-s", goal, 1.5 * two["path"] <= one["path"], one["path"], "one core")
    yield Row("trained tokens, two cores", two["speed"], "tokens/s", peer=one["speed"], peer_name="one core")


def methods(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Each method's whole training: memory, time, exact match on rows it was not trained on, divergence from the base."""
    for name in TABLE:
        run = _child(name, folder, options)
        yield Row(f"{name}: peak memory", run["peak_mb"], "MB")
        yield Row(f"{name}: steps", run["cpu"], "CPU-s")
        yield Row(f"{name}: exact match, {run['answers']} rows", run["right"] / run["answers"], "share")
        yield Row(f"{name}: divergence from the base on general prompts", run["kl"], "nats/token")


def ray(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Two workers on a real cluster of two nodes beside one that takes their batches together."""
    if find_spec("ray") is None:
        raise CannotMeasure("Ray is missing: pip install 'ftassets[ray]'")
    variables = environment(FTASSETS_CACHE=str(folder / "nodes"), GLOO_SOCKET_IFNAME="lo", OMP_NUM_THREADS="1")
    with tempfile.TemporaryDirectory(prefix="ray-") as short, ray_cluster(Path(short) / "c", 2, variables) as cluster:
        two, one = (_child(name, folder, options, "--ray", cluster.address)["losses"] for name in ON_RAY)
    gap = max(abs(a - b) for a, b in zip(two, one, strict=True))
    what = f"largest difference of the loss, {len(one)} steps, two Ray workers and one with the doubled batch"
    yield Row(what, gap, "nats", f"<= {SAME_ON_RAY:g}", gap <= SAME_ON_RAY)


PARTS = {"speed": speed, "cores": cores, "methods": methods, "ray": ray}


def _child(name: str, folder: Path, options: argparse.Namespace, *more: str) -> dict[str, Any]:
    sizes = [f"--{size}={getattr(options, size)}" for size in SIZES]
    command = [sys.executable, "-m", "bench.training", "--one", name, "--folder", str(folder), *sizes, *more]
    threads = {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment() | threads, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasure(f"{name} failed: {' '.join(done.stderr.split())[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _one(options: argparse.Namespace) -> dict[str, Any]:
    """What a fresh interpreter measures."""
    if options.one in TABLE:
        return _whole(options)
    if options.one in ON_RAY:
        return _on_ray(options)
    bf16, job = sft.computes_bf16(), _job(options, options.folder / "speed")
    scripts: dict[str, Callable[[], dict[str, Any]]] = {
        OURS: lambda: _our_steps(_prepared(job, bf16)),
        TRL: lambda: _bare(_prepared(job, bf16), in_our_order=True),
        NAIVE: lambda: _bare(_prepared(job, False), in_our_order=False),
        f"{OURS}, fp32": lambda: _our_steps(_prepared(job, False)),
        f"{TRL}, fp32": lambda: _bare(_prepared(job, False), in_our_order=True),
        "one": lambda: _replicas(_prepared(job, bf16), 1),
        "two": lambda: _replicas(_prepared(job, bf16), 2),
    }
    return scripts[options.one]()


def _rows(options: argparse.Namespace) -> tuple[list[Example], list[Example]]:
    """Rows to train on, and others."""
    rows, _ = parse_jsonl((LOOPS / LOOP / "seed.jsonl").read_text(encoding="utf-8"), "seed")
    if len(rows) < options.rows + options.answers:
        raise CannotMeasure(f"the demo's seed has {len(rows)} rows: take fewer --rows or --answers")
    order = np.random.default_rng(0).permutation(len(rows))
    chosen = [rows[place] for place in order[: options.rows + options.answers]]
    return chosen[: options.rows], chosen[options.rows :]


def _job(options: argparse.Namespace, folder: Path, **changes: Any) -> TrainingJob:
    rows, others = _rows(options)
    return demo_job(folder, options.folder / "versions", demo_train(**{"epochs": 1, **changes}), rows, others[:8])


def _prepared(job: TrainingJob, bf16: bool) -> Steps:
    import torch
    from transformers import set_seed

    base = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    method = METHODS[job.train.method](job.train, job.versions / base / "merged", job.base_model, None)
    tokenizer = method.tokenizer()
    rows, validation = objectives_of(tokenizer, job, print)
    set_seed(job.train.seed)
    model = method.model(tokenizer, torch.bfloat16 if bf16 else torch.float32)
    return Steps(job, model, tokenizer, rows, validation, bf16, "bench", lambda _: None, lambda: False, tracking(job.points_file))


def _timed(trainer: Any) -> dict[str, Any]:
    begun = time.process_time()
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"cpu": time.process_time() - begun, "tokens": float(trainer.state.num_input_tokens_seen), "losses": losses}


def _our_steps(steps: Steps) -> dict[str, Any]:
    trainer, _ = make_trainer(replace(steps, validation=_NOTHING), 0, 1, Progress())
    return _timed(trainer)


def _bare(steps: Steps, in_our_order: bool) -> dict[str, Any]:
    """TRL's trainer as its documentation writes it, on the same tokens."""
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from trl import SFTConfig, SFTTrainer

    train = steps.job.train
    order = np.random.default_rng([train.seed, 0]).permutation(len(steps.rows))
    rows = [
        {"input_ids": row.ids, "labels": [-100] * row.start + row.ids[row.start :]} for row in (steps.rows.texts[place] for place in order)
    ]

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(rows)

    settings = SFTConfig(
        output_dir=str(steps.job.checkpoints),
        num_train_epochs=train.epochs,
        learning_rate=train.learning_rate,
        per_device_train_batch_size=train.batch_size,
        gradient_accumulation_steps=train.gradient_accumulation_steps,
        warmup_steps=train.warmup_ratio,
        lr_scheduler_type="cosine",
        max_grad_norm=train.max_grad_norm,
        max_length=None,
        seed=train.seed,
        bf16=steps.bf16,
        use_cpu=True,
        gradient_checkpointing=False,
        include_num_input_tokens_seen="non_padding",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    kind = InOrder if in_our_order else SFTTrainer
    return _timed(kind(model=steps.model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=steps.tokenizer))


def _replicas(steps: Steps, count: int) -> dict[str, Any]:
    """Speed, and the time of the steps after the first if every process had a core of its own and waited for the slowest only."""
    path, agree, last = 0.0, replicas.agree, None

    def timed(model: Any) -> None:
        nonlocal path, last
        now = time.process_time()
        if last is not None:
            path += max(replicas.gathered(now - last))
        last = now
        agree(model)

    replicas.agree = timed
    done = run_steps(replace(steps, validation=_NOTHING), count, None)
    return {"speed": done.tokens / done.seconds, "path": path}


def _on_ray(options: argparse.Namespace) -> dict[str, Any]:
    workers = ON_RAY[options.one]
    job = _job(options, options.folder / f"ray-{workers}", ray={"address": options.ray, "workers": workers})
    job.work.mkdir()
    on_ray.train_loop = _in_fp32
    return {"losses": [loss for _, loss in on_ray.train_on_ray(job, lambda _: None)["losses"]]}


def _in_fp32(told: Any) -> None:
    """What a worker runs. In bf16 the sum of two parts of a batch is rounded otherwise than the whole: 0.01 nats after five steps."""
    from ftassets.workers.training import ray_worker, sft

    sft.computes_bf16 = lambda: False
    ray_worker.train_loop(told)


def _whole(options: argparse.Namespace) -> dict[str, Any]:
    method, bf16 = TABLE[options.one]
    if not bf16:
        sft.computes_bf16 = lambda: False
    rate = RATES.get(method, demo_loop().train.learning_rate)
    job = _job(options, options.folder / method, method=method, learning_rate=rate)
    begun = time.process_time()
    result = sft.train(job, lambda _: None)
    cpu, merged = time.process_time() - begun, job.versions / result.digest / "merged"
    peak = next(int(line.split()[1]) / 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    _, asked = _rows(options)
    prompts = [chat(job.task.system_prompt, row) for row in asked]
    said = {place: row for rows in generate(merged, prompts, job.task.max_tokens, 32, lambda _: None) for place, row in rows.items()}
    form, answers = job.task.form, [said[place] for place in range(len(asked))]
    scores = [score(row.id, "", each["answer"], row.completion, form, each["truncated"]) for row, each in zip(asked, answers, strict=True)]
    base = job.versions / result.base_digest / "merged"
    general = ForgettingJob(
        base=base, candidate=merged, others={"base": base}, prompts=list(general_prompts()),
        output=options.folder / f"{method}-{bf16}.parquet", work=options.folder / "general",
    )  # fmt: skip
    measure_forgetting(general, lambda _: None)
    kl = statistics.fmean(pq.read_table(general.output)["kl"].to_pylist())
    return {"peak_mb": peak, "cpu": cpu, "answers": len(asked), "right": sum(each.exact for each in scores), "kl": kl}


if __name__ == "__main__":
    sys.exit(main())
