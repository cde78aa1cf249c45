"""FineTuneLoop: one YAML file in, the lineage graph and automation of one loop out."""

from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components import Component, ComponentLoadContext, scaffold_with
from pydantic import BaseModel, ModelWrapValidatorHandler, PrivateAttr, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails

from ftassets import automation
from ftassets.assets import graph
from ftassets.components.scaffolder import FineTuneLoopScaffolder
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_file_check import model_at
from ftassets.config.loop_files import current, located, masked, rendered, warn
from ftassets.errors import ConfigurationError

HIDDEN = "(not shown: it may be a secret)"  # in place of a value, which Dagster prints with an error about it


class LoopAttributes(LoopConfig):
    """The attributes of a FineTuneLoop. An unknown field's error names the fields there are, and no error holds a value."""

    _renamed: list[str] = PrivateAttr(default_factory=list)  # sentences about old names in the file

    @model_validator(mode="wrap")
    @classmethod
    def _name_allowed_fields(cls, data: Any, handler: ModelWrapValidatorHandler["LoopAttributes"]) -> "LoopAttributes":
        lifted, renamed = current(data)
        try:
            read = handler(rendered(lifted))
        except ValidationError as error:
            # not raised here: Dagster would print the first error too, with its values
            refused = ValidationError.from_exception_data(error.title, [_told(found, data) for found in error.errors()])
        else:
            read._renamed = renamed
            return read
        raise refused


def _told(found: ErrorDetails, attributes: Any) -> InitErrorDetails:
    """An error about these attributes as Dagster may print it."""
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        # Dagster words the errors again by type: only a value_error keeps its text
        above = model_at(found["loc"][:-1])
        names = ", ".join(sorted(above.model_fields)) if above else "none"
        kind, context = "value_error", {"error": ValueError(f"no such field; there are {names}")}
    elif kind == "value_error":
        context = {"error": ValueError(masked(str(context["error"]), attributes))}
    return {"type": kind, "loc": found["loc"], "input": HIDDEN, "ctx": context}


@scaffold_with(FineTuneLoopScaffolder)
class FineTuneLoop(Component):
    """A closed fine-tune loop: production traffic, drift, dataset, adapter, gates, release, endpoint."""

    def __init__(self, loop: LoopConfig) -> None:
        self.loop = loop

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of the YAML's attributes."""
        return LoopAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: ComponentLoadContext) -> "FineTuneLoop":
        """The component from validated attributes; data files are relative to the YAML. Raises ConfigurationError naming a missing one."""
        assert isinstance(attributes, LoopAttributes)
        folder = Path(context.path)
        warn(attributes._renamed, folder / "defs.yaml" if folder.is_dir() else folder)
        loop = located(attributes, folder if folder.is_dir() else folder.parent)
        need_data_files(loop)
        return cls(loop)

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, jobs, schedules and sensors of the loop; resources come from `ftassets.config.profiles`."""
        return build_loop(self.loop)


def need_data_files(loop: LoopConfig) -> None:
    """Raises ConfigurationError naming the field of a data file that is not there."""
    files = [("dataset.seed", loop.dataset.seed), ("golden_set", loop.golden_set)]
    files += [(f"set {each.name}", each.file) for each in loop.sets]
    files += [("llm_judge.labels", loop.llm_judge.labels)] if loop.llm_judge else []
    for field, path in files:
        if not path.is_file():
            raise ConfigurationError(f"loop {loop.name}: {field} names {path}, which is not there")


def build_loop(loop: LoopConfig) -> dg.Definitions:
    """Definitions of one loop, without resources."""
    assets, checks = graph.build(loop)
    jobs, schedules, sensors = automation.build(loop)
    return dg.Definitions(assets=assets, asset_checks=checks, jobs=jobs, schedules=schedules, sensors=sensors)
