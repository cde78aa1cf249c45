import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import BaseModel

from ftassets.backends.artifacts.version_folder import verify_folder
from ftassets.domain.release.version import ADAPTER
from ftassets.domain.training.acceptance import version_checks
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.smaller_batch import smaller_batch
from ftassets.testing.tiny_job import tiny_job
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.process import KILLED, TERMINATED, Terminated, last_words, write_job
from ftassets.workers.training.own_command import train_by_command
from ftassets.workers.training.sft import train
from ftassets_tests import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.models]

# a trainer of somebody who knows PEFT and nothing of ftassets
TRAINER = """
import json, sys, torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
dataset, base, start_from, output = sys.argv[1:]
tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
model = PeftModel.from_pretrained(model, start_from, is_trainable=True) if start_from else get_peft_model(
    model, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"))
optimizer, losses = torch.optim.AdamW(model.parameters(), lr=0.02), []
rows = [json.loads(line)["messages"] for line in open(f"{dataset}/train.jsonl")]
for step in range(1, 9):
    texts = [tokenizer.apply_chat_template(row, tokenize=False) for row in rows[step % 2 :: 2]]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    loss = model(**batch, labels=batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)).loss
    loss.backward(); optimizer.step(); optimizer.zero_grad(); losses.append((step, float(loss)))
model.save_pretrained(output)
json.dump({"losses": losses}, open(f"{output}/metrics.json", "w"))
"""


# what that trainer left, and a change to it: to import the libraries again for each would take seconds
LEFT = """
import json, os, pickle, shutil, sys
import numpy as np
from safetensors.numpy import load_file, save_file
dataset, base, start_from, output = sys.argv[1:]
shutil.copytree({taught!r}, output, dirs_exist_ok=True)
FILE, CONFIG = f"{{output}}/adapter_model.safetensors", f"{{output}}/adapter_config.json"
def weights(change): save_file({{name: change(name, value) for name, value in load_file(FILE).items()}}, FILE)
def config(**new): old = json.load(open(CONFIG)); json.dump({{**old, **new}}, open(CONFIG, "w"))
def losses(*of): json.dump({{"losses": of}}, open(f"{{output}}/metrics.json", "w"))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the trainer leaves, trained once."""
    folder, kept = tmp_path_factory.mktemp("taught"), tmp_path_factory.mktemp("kept") / "output"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("FTASSETS_CACHE", str(folder / "cache"))
        base = make_tiny_model(folder / "base")
        train_by_command(job(folder / "job", base, TRAINER + f"import shutil; shutil.copytree(output, {str(kept)!r})"), lambda _: None)
    return kept


def job(folder: Path, base: Path, program: str = TRAINER, start_from: Path | None = None, **changes: Any) -> TrainingJob:
    """A job whose command is this program, kept beside its data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer.py").write_text(program)
    command = [sys.executable, "trainer.py", "{dataset}", "{base}", "{start_from}", "{output}"]
    return tiny_job(folder, base, command=command, command_folder=folder, start_from=start_from, **changes)


def test_what_a_command_of_the_user_trains_is_a_version_like_any_other(tmp_path, tiny_base):
    first = job(tmp_path / "first", tiny_base)
    result = train_by_command(first, lambda _: None)
    manifest = verify_folder(first.versions / result.digest)
    assert all(check.passed for check in version_checks(manifest).values())
    assert (manifest.dataset_commit, manifest.base_digest) == ("c" * 40, result.base_digest)
    assert manifest.training["command"] == first.train.command
    assert (result.steps, result.rows, result.tokens_per_second) == (8, 16, None)
    assert result.trainable_parameters > 0
    assert result.last_loss < result.first_loss
    config = json.loads((first.versions / result.digest / ADAPTER / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["target_modules"]) == (str(tiny_base), ["down_proj", "q_proj", "v_proj"])
    assert not list(first.checkpoints.iterdir())
    spoils = TRAINER + "\nif start_from: open(f'{start_from}/adapter_config.json', 'w').write('')"
    again = train_by_command(job(tmp_path / "again", tiny_base, spoils, first.versions / result.digest / ADAPTER), lambda _: None)
    verify_folder(first.versions / result.digest)
    assert again.first_loss < 0.95 * result.first_loss
    assert (again.start_from, again.lineage) == (result.digest, f"continues from {result.digest}")


def test_the_command_reads_the_rows_that_our_training_would_read(tmp_path, tiny_base):
    keep = "import shutil, sys; shutil.copytree(sys.argv[1], 'seen'); sys.exit(3)"
    with pytest.raises(TrainingStopped, match="exit code 3"):
        train_by_command(job(tmp_path / "job", tiny_base, keep), lambda _: None)
    rows = [json.loads(line) for line in (tmp_path / "job" / "seen" / "train.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    assert rows[0] == {
        "messages": [
            {"role": "system", "content": "Answer as JSON."},
            {"role": "user", "content": "dim the light in the kitchen"},
            {"role": "assistant", "content": '{"intent": "dim", "area": "kitchen"}'},
        ]
    }
    assert len((tmp_path / "job" / "seen" / "validation.jsonl").read_text().splitlines()) == 4
    assert json.loads((tmp_path / "job" / "seen" / "settings.json").read_text())["learning_rate"] == 1e-2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("shutil.rmtree(output); os.mkdir(output)", "left no metrics.json"),
        ("losses()", "metrics.json of train.command cannot be read"),
        ("losses([1, float('nan')])", "metrics.json of train.command cannot be read"),
        ("losses([0, 2.0])", "steps must rise"),
        ("losses([2, 2.0], [1, 1.0])", "steps must rise"),
        ("losses([1, 2.0], [10**30, 1.0])", "steps must rise"),
        ("os.remove(FILE); pickle.dump({}, open(f'{output}/adapter_model.bin', 'wb'))", "safetensors"),
        ("open(f'{output}/optimizer.pt', 'w').write('x')", "optimizer.pt: only safetensors"),
        ("os.remove(FILE)", "not there"),
        ("losses([1, 2.0]); weights(lambda name, value: value * np.float32('nan' if 'layers.0.mlp' in name else 1))", "not finite"),
        ("config(r=8)", "does not fit"),
        ("open(f'{base}/added_tokens.json', 'w').write('{}')", "changed the base .*added_tokens.json"),
        ("weights(lambda name, value: value.astype(np.int8))", "integers"),
        ("weights(lambda name, value: np.full_like(value, 3e38))", "probabilities are not numbers"),
        ("config(layer_replication=[[0, 2], [0, 2]])", "repeats layers"),
        ("os.remove(FILE); os.mkfifo(FILE)", "not there"),
        ("open(CONFIG, 'w').write('[')", "not JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_its_reason(tmp_path, tiny_base, taught, change, said):
    bad = job(tmp_path / "job", tiny_base, LEFT.format(taught=str(taught)) + change)
    with pytest.raises(TrainingStopped, match=said):
        train_by_command(bad, lambda _: None)
    assert len(list(bad.versions.glob("*/manifest.json"))) == 1  # the base


def test_only_an_adapter_of_learned_tokens_makes_the_vocabulary_larger(tmp_path, tiny_base, taught):
    grown = job(tmp_path / "job", tiny_base, LEFT.format(taught=str(taught)) + "config(token_indices=[10**9])")
    result = train_by_command(grown, lambda _: None)
    config = json.loads((grown.versions / result.digest / "merged" / "config.json").read_text())
    assert config["vocab_size"] == json.loads((tiny_base / "config.json").read_text())["vocab_size"]


def test_checkpoints_are_kept_until_the_version_is_there(tmp_path, tiny_base, taught, monkeypatch):
    program = LEFT.replace("output = sys.argv[1:]", "output, kept = sys.argv[1:]").format(taught=str(taught))
    keeps = job(tmp_path / "job", tiny_base, program + "open(f'{kept}/step-8', 'w').write('weights')")
    keeps = keeps.model_copy(update={"train": keeps.train.model_copy(update={"command": [*(keeps.train.command or []), "{checkpoints}"]})})

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftassets.workers.training.own_command.merge_adapter", killed)
    with pytest.raises(KeyboardInterrupt):
        train_by_command(keeps, lambda _: None)
    assert [path.name for path in keeps.checkpoints.glob("command-*/*")] == ["step-8"]


def test_a_command_that_is_not_there_is_named(tmp_path, tiny_base):
    none = tiny_job(tmp_path / "job", tiny_base, command=["no-such-trainer"], command_folder=tmp_path)
    with pytest.raises(TrainingStopped, match="cannot be run.*no-such-trainer"):
        train_by_command(none, lambda _: None)


class Worker(BaseModel):
    """A worker process and how it ended."""

    code: int
    said: str | None


def work(of: TrainingJob, number: int) -> Worker:
    """Run the job as a worker, and send the signal as soon as the command has left a checkpoint."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    arguments = [sys.executable, "-m", "ftassets.workers.training", str(write_job(of, of.work / "job.json"))]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("left "):
                target = process.pid if number == signal.SIGTERM else int(line.split()[1])
                os.kill(target, number)
                break
        return Worker(code=process.wait(60), said=last_words(of.work / "job.json"))


WAITS = """
import os, sys, time, pathlib
checkpoints = pathlib.Path(sys.argv[-1])
(checkpoints / f"step-{len(list(checkpoints.iterdir()))}").write_text("weights")
print("left", os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, TERMINATED), (signal.SIGKILL, KILLED)])
def test_a_command_that_is_killed_finds_its_checkpoints_again(tmp_path, tiny_base, number, code):
    waits = job(tmp_path / "job", tiny_base, WAITS)
    waits = waits.model_copy(update={"train": waits.train.model_copy(update={"command": [*(waits.train.command or []), "{checkpoints}"]})})
    for count in (1, 2):
        assert work(waits, number).code == code
        assert len(list(waits.checkpoints.glob("command-*/*"))) == count
    kept = list(waits.checkpoints.iterdir())
    assert len(kept) == 1
    smaller = waits.model_copy(update={"train": smaller_batch(waits.train)})
    assert work(smaller, number).code == code, "as it is tried again when memory most likely ran out"
    assert [len(list(folder.iterdir())) for folder in kept] == [3]
    with pytest.raises(Terminated, match="checkpoints"):
        train_by_command(waits, lambda _: None, lambda: True)
    assert list(waits.checkpoints.iterdir()) == kept
    train(tiny_job(tmp_path / "other", tiny_base).model_copy(update={"checkpoints": waits.checkpoints}), lambda _: None)


LAUNCHER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("child", "w").write(str(child.pid))
{}
"""


@pytest.mark.parametrize("then", ["child.wait()", "sys.exit(3)"])
def test_what_a_command_started_ends_with_it(tmp_path, tiny_base, then):
    launcher = job(tmp_path / "job", tiny_base, LAUNCHER.format(then))
    child = tmp_path / "job" / "child"
    with pytest.raises((Terminated, TrainingStopped), match="asked to end|exit code 3"):
        train_by_command(launcher, lambda _: None, lambda: child.exists() and child.read_text() != "" and "wait" in then)
    pid = int(child.read_text())
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it was left behind"
        time.sleep(0.1)
