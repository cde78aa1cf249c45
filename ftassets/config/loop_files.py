"""Reading loop files without Dagster, for the processes that serve."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2.sandbox import SandboxedEnvironment

from ftassets.config.loop import LoopConfig
from ftassets.domain import formats

COMPONENTS = ("ftassets.FineTuneLoop", "ftassets.components.FineTuneLoop")  # the second: loop files of format 1
LOOPS = Path(__file__).parents[1] / "loops"

log = logging.getLogger(__name__)


def read_loops(folder: Path = LOOPS) -> dict[str, LoopConfig]:
    """All loops below a folder, by name; relative paths in them are made absolute. Raises ValueError on a bad file."""
    loops: dict[str, LoopConfig] = {}
    for path, attributes in _documents(folder):
        try:
            loop = read_loop(attributes, path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if loop.name in loops:
            raise ValueError(f"{path}: there are two loops named {loop.name}")
        loops[loop.name] = located(loop, path.parent)
    return loops


def read_loop(attributes: Any, path: Path) -> LoopConfig:
    """The loop of the attributes in a loop file, which `path` names in warnings about old names. Raises ValueError."""
    lifted, renamed = current(rendered(attributes))
    warn(renamed, path)
    return LoopConfig.model_validate(lifted)


def current(attributes: Any) -> tuple[Any, list[str]]:
    """Attributes as the current format has them, and a sentence for each old name among them. Raises NewerFormat, InvalidInput."""
    first = isinstance(attributes, Mapping) and attributes.get(formats.FORMAT, 1) == 1
    renamed = [f"{old} is now {new}" for old, new in formats.renames(attributes)] if first else []
    return formats.read("loop_file", attributes), renamed


def warn(renamed: list[str], path: Path) -> None:
    """Say which names of a loop file are old ones."""
    if renamed:
        version = formats.KINDS["loop_file"].version
        log.warning("%s is of format 1: %s. Rename them and add `format: %d` to its attributes.", path, "; ".join(renamed), version)


def rendered(attributes: Any) -> Any:
    """Attributes with `{{ env.NAME }}` replaced by that environment variable. Raises ValueError naming one that is not set."""
    if isinstance(attributes, dict):
        return {key: rendered(value) for key, value in attributes.items()}
    if isinstance(attributes, list):
        return [rendered(value) for value in attributes]
    if isinstance(attributes, str) and "{{" in attributes:
        return SandboxedEnvironment().from_string(attributes).render(env=_Environment())
    return attributes


class _Environment:
    def __getattr__(self, name: str) -> str:
        try:
            return os.environ[name]
        except KeyError:
            raise ValueError(f"the loop file names the environment variable {name}, which is not set") from None


def located(loop: LoopConfig, folder: Path) -> LoopConfig:
    """The loop with its data files relative to the folder of its YAML file."""
    dataset = loop.dataset.model_copy(update={"seed": folder / loop.dataset.seed})
    sets = [each.model_copy(update={"file": folder / each.file}) for each in loop.sets]
    judge = loop.llm_judge and loop.llm_judge.model_copy(update={"labels": folder / loop.llm_judge.labels})
    return loop.model_copy(update={"dataset": dataset, "golden_set": folder / loop.golden_set, "sets": sets, "llm_judge": judge})


def _documents(folder: Path) -> Iterator[tuple[Path, object]]:
    for path in sorted(folder.rglob("defs.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and document.get("type") in COMPONENTS:
                yield path, document.get("attributes")
