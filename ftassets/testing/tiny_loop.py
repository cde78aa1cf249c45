"""A whole loop in one process: a tiny random-weight model, real gateway, real stores, real training, no subprocess."""

import gc
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.backends.evaluator.base import Evaluator
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.trainer.base import Trainer, TrainingFailed
from ftassets.components.fine_tune_loop import build_loop
from ftassets.components.resources import resources
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.answer_form import TaskType
from ftassets.domain.evaluation.jobs import AnswerJob, Measurements, MetricsJob, PerplexityJob
from ftassets.domain.evaluation.parity import Agreement, ParityJob
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.made_once import made_once, mlflow_tables
from ftassets.testing.releases import FEW_USERS
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.evaluation.forgetting import measure_forgetting
from ftassets.workers.evaluation.generate import answer
from ftassets.workers.evaluation.likelihood import measure_likelihoods
from ftassets.workers.evaluation.measure import measure
from ftassets.workers.evaluation.parity import compare
from ftassets.workers.training.sft import train

LOOP = "tiny"
COLOURS = ("red", "green", "blue", "white", "amber", "violet")
_FIRST_ANSWERS: dict[TaskType, str] = {"tool_call": "{}", "classification": "stop", "text": "Done."}  # of the untuned model
ROOMS = ("kitchen", "hall", "attic", "garage", "office", "cellar", "porch", "study")


class TrainerHere(Trainer):
    """Trains in this process: saves the import of a second one."""

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        import trl.trainer.sft_trainer  # noqa: F401

        gc.freeze()  # accelerate collects all garbage many times a training
        try:
            return train(job, context.log.info)
        except TrainingStopped as error:
            raise TrainingFailed(str(error)) from error


class EvaluatorHere(Evaluator):
    """Answers, measures and compares in this process."""

    def answer(self, job: AnswerJob, context: Any) -> None:
        answer(job, context.log.info)
        if job.forgetting:
            measure_forgetting(job.forgetting, context.log.info)

    def perplexity(self, job: PerplexityJob, context: Any) -> None:
        measure_likelihoods(job, context.log.info)

    def measure(self, job: MetricsJob, context: Any) -> Measurements:
        return measure(job, context.log.info)

    def parity(self, job: ParityJob, context: Any) -> Agreement:
        return compare(job, context.log.info)


def taught_model(folder: Path, answer: str) -> Path:
    """A tiny model in `folder` that says one thing whatever it is asked, so that its answers can be parsed."""
    name = f"taught-{hashlib.sha256(answer.encode()).hexdigest()[:8]}"
    return made_once(name, folder, lambda path: _teach(make_tiny_model(path), answer))


def _teach(folder: Path, answer: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    texts = [f"{verb} the {colour} lamp in the {room}" for verb in ("dim", "open", "light") for colour in COLOURS for room in ROOMS]
    for step in range(40):
        chats = [[{"role": "system", "content": "Answer as JSON."}, {"role": "user", "content": text}] for text in texts[step % 8 :: 8]]
        prompts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        batch = tokenizer(
            [f"{prompt}{answer}{tokenizer.eos_token}" for prompt in prompts], padding=True, padding_side="left", return_tensors="pt"
        )
        said = len(tokenizer(f"{answer}{tokenizer.eos_token}")["input_ids"])
        labels = batch["input_ids"].clone()
        labels[:, :-said] = -100
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.bfloat16().save_pretrained(folder)


def right_answer(verb: str, room: str, task: TaskType = "tool_call") -> str:
    """What a row about this verb and room has as answer."""
    answers: dict[TaskType, str] = {
        "tool_call": json.dumps({"intent": verb, "area": room}),
        "classification": verb,
        "text": f"I will {verb} the lamp in the {room} for you.",
    }
    return answers[task]


def rows(verbs: tuple[str, ...], prefix: str, slice_name: str | None = None, task: TaskType = "tool_call") -> str:
    """JSONL of one row per verb, colour and room."""
    lines = []
    for verb in verbs:
        for number, (colour, room) in enumerate((c, r) for c in COLOURS for r in ROOMS):
            row: dict[str, Any] = {
                "id": f"{prefix}-{verb}-{number}",
                "messages": [
                    {"role": "user", "content": f"{verb} the {colour} lamp in the {room} {prefix}"},
                    {"role": "assistant", "content": right_answer(verb, room, task)},
                ],
            }
            if slice_name:
                row["slice"] = slice_name
            lines.append(json.dumps(row) + "\n")
    return "".join(lines)


def tiny_config(folder: Path, base: Path, task_type: TaskType = "tool_call", **changes: Any) -> LoopConfig:
    """A loop over made-up commands; its gates can be met by an untrained model, for it is the mechanics that are tested."""
    golden = rows(("dim",), "now", "established", task_type) + rows(("open",), "soon", "drifted", task_type)
    (folder / "seed.jsonl").write_text(rows(("dim", "light"), "please", task=task_type))
    (folder / "golden.jsonl").write_text(golden)
    settings: dict[str, Any] = {
        "name": LOOP,
        "mode": "auto",
        "base_model": str(base),
        "task": {"type": task_type, "system_prompt": "Answer as JSON.", "max_tokens": 8},
        "dataset": {"seed": str(folder / "seed.jsonl"), "min_rows": 10, "near_duplicate": 0.999, "skip": ["near", "semantic"]},
        "golden_set": str(folder / "golden.jsonl"),
        "train": {
            "epochs": 1, "batch_size": 16, "gradient_accumulation_steps": 1, "learning_rate": 1e-3, "lora_r": 4, "max_length": 128,
            "loss_limit": 10,
        },  # fmt: skip
        "gates": [
            {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.5},
            {"metric": "latency_p95", "no_worse_than": "production", "margin": 100, "pairs": 80},
        ],
        "retrain_on": {
            "drift": {
                "window": "1h", "sample": 60, "min_sample": 50, "reference_requests": 20, "reference_windows": 2,
                "reference_span": 0.01, "consecutive": 1,
            },
            "cooldown": "1s",
            "min_new_labels": 5,
        },
        "rollout": {"steps": [50, 100], "interval": "1s", "min_requests": 3, "guardrails": FEW_USERS},
    }  # fmt: skip
    return LoopConfig.model_validate({**settings, **changes})


@dataclass
class TinyLoop:
    """The pieces a test works with."""

    home: Home
    loop: LoopConfig
    instance: dg.DagsterInstance
    serving: GatewayServing
    url: str
    host: ThreadHost
    resources: dict[str, Any]

    def definitions(self) -> dg.Definitions:
        return dg.Definitions.merge(build_loop(self.loop), dg.Definitions(resources=self.resources, executor=dg.in_process_executor))

    def run(self, job: str, run_config: dict | None = None, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """Execute one of the loop's jobs here; a failed run is returned, not raised."""
        definition = self.definitions().resolve_job_def(f"{LOOP}__{job}")
        return definition.execute_in_process(run_config=run_config, instance=self.instance, tags=tags, raise_on_error=False)

    def move(self, action: str, **config: Any) -> dg.ExecuteInProcessResult:
        return self.run("move_traffic", {"ops": {f"{LOOP}__endpoint": {"config": {"action": action, **config}}}})

    def materialize(self, *names: str, checks: bool = True, tags: Mapping[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """Materialize chosen nodes only, as from the UI, with tags of the run."""
        selection = dg.AssetSelection.assets(*(node(LOOP, name) for name in names))
        job = dg.define_asset_job("by_hand", selection=selection if checks else selection.without_checks())
        definitions = dg.Definitions.merge(self.definitions(), dg.Definitions(jobs=[job]))
        return definitions.resolve_job_def("by_hand").execute_in_process(
            instance=self.instance, tags=dict(tags or {}), raise_on_error=False
        )


@contextmanager
def tiny_loop(folder: Path, on_disk: bool = False, task_type: TaskType = "tool_call", **changes: Any) -> Iterator[TinyLoop]:
    """A loop with its own home, gateway and Dagster instance, which is in memory unless another process is to see it."""
    home = Home(folder / "home")
    home.root.mkdir()
    mlflow_tables(home.root)
    loop = tiny_config(folder, taught_model(folder / "base", _FIRST_ANSWERS[task_type]), task_type, **changes)
    host = ThreadHost()
    instance_for = dg.instance_for_test if on_disk else dg.DagsterInstance.ephemeral
    try:
        with run_gateway_in_thread(home, {LOOP: loop}, host) as (serving, url), instance_for() as instance:
            parts = resources(home) | {
                "trainer": TrainerHere(), "evaluator": EvaluatorHere(), "embedder_of": lambda settings: HashEmbedder(), "serving": serving,
            }  # fmt: skip
            yield TinyLoop(home, loop, instance, serving, url, host, parts)
    finally:
        host.close()
