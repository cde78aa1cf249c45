"""FineTuneLoop: one YAML file in, the lineage graph and automation of one loop out."""

from pathlib import Path

import dagster as dg
from dagster.components import Component, ComponentLoadContext
from pydantic import BaseModel

from ftassets import automation, lineage
from ftassets.domain.loop import LoopConfig
from ftassets.loop_files import located


class FineTuneLoop(Component):
    """A closed fine-tune loop: production traffic, drift, dataset, adapter, gates, release, endpoint."""

    def __init__(self, loop: LoopConfig) -> None:
        self.loop = loop

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of the YAML's attributes."""
        return LoopConfig

    @classmethod
    def load(cls, attributes: BaseModel | None, context: ComponentLoadContext) -> "FineTuneLoop":
        """The component from validated attributes; data files are relative to the YAML. Raises FileNotFoundError naming a missing one."""
        assert isinstance(attributes, LoopConfig)
        folder = Path(context.path)
        loop = located(attributes, folder if folder.is_dir() else folder.parent)
        for field, path in (("dataset.seed", loop.dataset.seed), ("golden_set", loop.golden_set)):
            if not path.is_file():
                raise FileNotFoundError(f"loop {loop.name}: {field} names {path}, which is not there")
        return cls(loop)

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, jobs, schedules and sensors of the loop; resources come from `ftassets.profiles`."""
        return build_loop(self.loop)


def build_loop(loop: LoopConfig) -> dg.Definitions:
    """Definitions of one loop, without resources."""
    assets, checks = lineage.build(loop)
    jobs, schedules, sensors = automation.build(loop)
    return dg.Definitions(assets=assets, asset_checks=checks, jobs=jobs, schedules=schedules, sensors=sensors)
