"""Trainings in Weights & Biases: settings, curves and scores, nothing of the code, the machine or the output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftassets.backends.run_mirror.base import RunMirror
from ftassets.domain.training.points import Point
from ftassets.errors import PackageMissing

CONNECT_WITHIN = 30.0  # seconds; a training waits for it at its start
UPLOAD_WITHIN = 120.0  # seconds; and for it at its end


class WandbMirror(RunMirror):
    """One W&B run for each training. WANDB_API_KEY, WANDB_BASE_URL and WANDB_MODE are read by wandb; offline, its files stay in `folder`.

    `begin` raises PackageMissing without the extra `wandb`.
    """

    def __init__(self, project: str, folder: Path) -> None:
        self._project, self._folder = project, folder
        self._run: Any = None

    def begin(self, run_id: str, name: str, facts: Mapping[str, object]) -> str:
        try:
            import wandb
        except ImportError as error:
            raise PackageMissing("tracking.wandb needs the extra `wandb`: pip install 'ftassets[wandb]'") from error

        self._folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            program="ftassets",
            host="ftassets",
            init_timeout=CONNECT_WITHIN,
            finish_timeout=UPLOAD_WITHIN,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        self._run = wandb.init(
            project=self._project, dir=self._folder, id=run_id, name=name, resume="allow", config=dict(facts), settings=settings,
            reinit="create_new",
        )  # fmt: skip
        return self._run.url or f"files in {self._run.dir}, until `wandb sync`"

    def log_points(self, points: Sequence[Point]) -> None:
        for point in sorted(points, key=lambda point: point.step):  # it takes no step that is before the last one
            self._run.log(dict(point.values), step=point.step)

    def end(self, facts: Mapping[str, object], failed: bool) -> None:
        import wandb

        self._run.summary.update(dict(facts))
        self._run.finish(exit_code=int(failed))
        wandb.teardown()  # its process would stay as long as this one
