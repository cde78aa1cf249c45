"""Try recipes on the validation rows, one training after the other: `python -m ftassets.workers.training.sweep JOB.json`."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.workers.training.sweep")

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftassets import metering
from ftassets.backends.trainer.checkpoints import key_of
from ftassets.code_identity import code_identity
from ftassets.config.home import Home
from ftassets.domain.canonical import digest_of
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.recipe import recipe
from ftassets.domain.training.sweep import recipe_with, space_of
from ftassets.domain.training.sweep_job import SweepJob, SweepResult, Trial
from ftassets.durable import file_digest, write_durably
from ftassets.errors import FtassetsError, in_one_line
from ftassets.wording import amount
from ftassets.workers.process import KILLED, TERMINATED, Report, Terminated, cores, die_with_parent, terminations, work_off
from ftassets.workers.training.base_models import ensure_base

MEASURED = 6  # times that a training's validation loss is measured, after equal shares of its steps
LARGEST = 500  # validation rows whose losses are compared
_WARM_UP = 3  # recipes that are trained to their end before one is stopped early
_RANDOM = 4  # recipes before the search learns from those before
_POLL = 0.5  # s


def search(job: SweepJob, report: Report, stop_asked: Callable[[], bool] = lambda: False) -> SweepResult:
    """Try recipes until there are enough, or the time is over; those of an attempt before count, and what it left unfinished resumes.

    Raises TrainingStopped, BaseModelMissing, and Terminated once `stop_asked` returns true.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise TrainingStopped("a sweep needs Optuna: pip install 'ftassets[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    training = job.training
    base = ensure_base(training.base_model, training.versions, Home.from_env().cache)
    folder = _folder(job, base)
    storage = JournalStorage(JournalFileBackend(str(folder / "trials.jsonl")))
    before = len(storage.get_all_trials(storage.get_all_studies()[0]._study_id)) if storage.get_all_studies() else 0
    study = optuna.create_study(
        storage=storage,
        study_name="recipes",
        load_if_exists=True,
        # random for the first few, and not the same ones again in a process that resumes
        sampler=optuna.samplers.TPESampler(seed=training.train.seed + before, n_startup_trials=_RANDOM),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_WARM_UP, n_warmup_steps=1),
    )
    _begin(study, training)
    while True:
        done = [over for each in study.get_trials() if (over := _trial(each)) is not None]
        spent = sum(over.seconds for over in done)
        if len(done) >= job.sweep.trials:
            return SweepResult(trials=done, ended=f"{amount(len(done), 'recipe was', 'recipes were')} tried, as sweep.trials asks for")
        if spent >= job.sweep.max_time:
            return SweepResult(trials=done, ended=f"sweep.max_time was over after {amount(len(done), 'recipe')}")
        if stop_asked():
            raise Terminated(f"the sweep was asked to end after {amount(len(done), 'recipe')}: start it again, and it resumes")
        trial = study.ask()
        choice = _suggested(trial, job)
        report(f"recipe {len(done) + 1} of {job.sweep.trials}: {_words(choice)}")
        _try(study, trial, job, base, choice, folder, report, stop_asked)


def _try(
    study: Any, trial: Any, job: SweepJob, base: str, choice: dict[str, float], folder: Path, report: Report, stop_asked: Callable[[], bool]
) -> None:
    """Train one recipe in a process of its own, which is stopped early if it is worse than half of those before."""
    from optuna.trial import TrialState

    place = folder / f"recipe-{digest_of(choice)[:16]}"
    train = recipe_with(job.training.train, choice)
    train = train.model_copy(update={"eval_steps": _every(train, job.training.train_file), "early_stopping_patience": None})
    training = job.training.model_copy(
        update={"train": train, "home": place / "home", "checkpoints": place / "checkpoints", "work": place / "work"}
    )
    place.mkdir(parents=True, exist_ok=True)
    begun, seen, hopeless = time.monotonic(), 0, False
    before = float(json.loads((place / "seconds.json").read_text())) if (place / "seconds.json").exists() else 0.0
    pid = _fork(training, base, place)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        seconds = before + time.monotonic() - begun
        write_durably(place / "seconds.json", json.dumps(seconds))
        curve = _curve(place)
        for share, loss in curve[seen:]:
            trial.report(loss, round(share * MEASURED))
            hopeless = hopeless or (trial.should_prune() and share < 1)
        seen = len(curve)
        if ended:
            break
        if hopeless or stop_asked():
            os.kill(pid, signal.SIGTERM)  # again and again: one that comes before it listens is lost
        time.sleep(_POLL)
    code = os.waitstatus_to_exitcode(status)
    if code in (KILLED, -signal.SIGKILL):
        os._exit(KILLED)  # as if we had been killed: most likely memory ran out, and this recipe is tried again
    if code == TERMINATED and not hopeless:
        raise Terminated("the sweep was asked to end: start it again, and it resumes this recipe")
    trial.set_user_attr("choice", choice)
    trial.set_user_attr("seconds", seconds)
    trial.set_user_attr("curve", curve)
    if code == 0:
        found = json.loads((place / "losses.json").read_bytes())
        metering.count(tokens_trained=round(found.pop("trained")))
        trial.set_user_attr("losses", found)
        study.tell(trial, sum(found["rows"]) / sum(found["tokens"]))
    elif code == TERMINATED:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        why = (place / "failed.txt").read_text() if (place / "failed.txt").exists() else f"exit code {code}"
        trial.set_user_attr("why", why)
        report(f"this recipe failed: {why}")
        study.tell(trial, state=TrialState.FAIL)
    shutil.rmtree(place)


def _fork(training: TrainingJob, base: str, place: Path) -> int:
    """A process that trains and leaves the loss of each validation row; its number."""
    (place / "curve.jsonl").touch()
    if pid := os.fork():
        return pid
    die_with_parent()
    code = 1
    try:
        with terminations() as stop_asked:
            _learn(training, base, place, stop_asked)
        code = 0
    except Terminated:
        code = TERMINATED
    except FtassetsError as error:
        (place / "failed.txt").write_text(str(error))
        code = 2
    except Exception as error:
        (place / "failed.txt").write_text(in_one_line(error)[:500])
    finally:
        os._exit(code)


def _learn(training: TrainingJob, base: str, place: Path, stop_asked: Callable[[], bool]) -> None:
    from ftassets.workers.training.loss import row_losses
    from ftassets.workers.training.sft import learn

    def measured(share: float, loss: float) -> None:
        with (place / "curve.jsonl").open("a") as out:
            out.write(json.dumps([share, loss]) + "\n")

    if stop_asked():  # the imports take a while, and the steps ask only after the first
        raise Terminated("the sweep was asked to end")
    learnt = learn(training, base, lambda _: None, cores(), stop_asked, measured=measured)
    assert learnt is not None
    kept = learnt.validation.texts[:LARGEST]
    losses, tokens = row_losses(learnt.model, kept, learnt.bf16)
    write_durably(place / "losses.json", json.dumps({"rows": losses, "tokens": tokens, "trained": learnt.progress.tokens}))


def _begin(study: Any, training: TrainingJob) -> None:
    """The loop's own recipe comes first; what a process before left unfinished comes next."""
    from optuna.trial import TrialState

    if not study.get_trials():
        study.enqueue_trial({}, user_attrs={"own": True})
    for each in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(each.number, state=TrialState.FAIL)
        study.enqueue_trial(each.params, user_attrs={"own": True} if each.user_attrs.get("own") else None)


def _suggested(trial: Any, job: SweepJob) -> dict[str, float]:
    """What differs from the loop's own recipe; nothing for the first."""
    if trial.user_attrs.get("own"):
        return {}
    space = space_of(job.training.train, job.sweep)
    choice: dict[str, float] = {
        "learning_rate": float(f"{trial.suggest_float('learning_rate', space.lowest, space.highest, log=True):.3g}")
    }
    if space.lora_r:
        choice["lora_r"] = trial.suggest_categorical("lora_r", list(space.lora_r))
    if space.epochs:
        choice["epochs"] = trial.suggest_categorical("epochs", list(space.epochs))
    return choice


def _trial(found: Any) -> Trial | None:
    """A trial that is over; None for one that was not, or whose process was killed."""
    known = found.user_attrs
    if "choice" not in known or not found.state.is_finished():
        return None
    losses = known.get("losses", {"rows": [], "tokens": []})
    return Trial(
        number=found.number,
        choice=known["choice"],
        state={"COMPLETE": "trained", "PRUNED": "stopped early"}.get(found.state.name, "failed"),
        why=known.get("why"),
        loss=found.value if losses["rows"] else None,
        seconds=known["seconds"],
        curve=known["curve"],
        row_losses=losses["rows"],
        row_tokens=losses["tokens"],
    )


def _folder(job: SweepJob, base: str) -> Path:
    """Of this sweep: other data, another base, recipe, space or code is another one, and removes it."""
    training = job.training
    key = key_of(
        {
            "code": code_identity()["code_digest"],
            "base": base,
            "rows": [file_digest(training.train_file), file_digest(training.validation_file)],
            "recipe": recipe(training.task, training.train, training.parent),
            "space": job.sweep.model_dump(mode="json", exclude={"trials", "max_time"}),
        }
    )
    folder = job.folder / key[:16]
    for other in job.folder.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _every(train: Any, file: Path) -> int:
    """Steps between two of the measurements."""
    with file.open("rb") as lines:
        rows = sum(1 for _ in lines)
    steps = train.epochs * -(-rows // (train.batch_size * train.gradient_accumulation_steps))
    return max(1, int(steps / MEASURED))


def _curve(place: Path) -> list[tuple[float, float]]:
    """The losses measured so far; once for each share, as a process that resumes measures some again."""
    found: dict[float, float] = {}
    for line in (place / "curve.jsonl").read_text().splitlines():
        share, loss = json.loads(line)
        found[share] = loss
    return sorted(found.items())


def _words(choice: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in choice.items()) or "the loop's own"


def _search(job: SweepJob, report: Report) -> dict[str, Any]:
    with terminations() as stop_asked:
        return search(job, report, stop_asked).model_dump(mode="json")


def main() -> int:
    """Do the job of the file that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.workers.training.sweep JOB.json")
    return work_off(Path(sys.argv[1]), SweepJob, _search)
