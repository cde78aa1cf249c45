"""Reading loop files without Dagster, for the processes that serve."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import ValidationError
from yaml.reader import ReaderError

from ftassets.config.loop import LoopConfig
from ftassets.domain import formats
from ftassets.errors import ConfigurationError, InvalidInput, in_one_line

COMPONENTS = ("ftassets.FineTuneLoop", "ftassets.components.FineTuneLoop")  # the second: loop files of format 1
LOOPS = Path(__file__).parents[1] / "loops"

log = logging.getLogger(__name__)


class UnknownLoop(InvalidInput):
    """No loop has this name; the message lists the names there are."""


def read_loops(folder: Path = LOOPS) -> dict[str, LoopConfig]:
    """All loops below a folder, by name; relative paths in them are made absolute. Raises ConfigurationError on a bad file."""
    loops: dict[str, LoopConfig] = {}
    for path in sorted(folder.rglob("defs.yaml")):
        for document in documents(path):
            if not isinstance(document, dict) or document.get("type") not in COMPONENTS:
                continue
            loop = loop_of(document, path)
            if loop.name in loops:
                raise ConfigurationError(f"{path}: there are two loops named {loop.name}")
            loops[loop.name] = loop
    return loops


def loop_named(name: str) -> LoopConfig:
    """The loop of that name. Raises UnknownLoop, and ConfigurationError on a bad loop file."""
    loops = read_loops()
    if name not in loops:
        raise UnknownLoop(f"there is no loop {name!r}; there is: {', '.join(loops) or 'none'}")
    return loops[name]


def documents(path: Path) -> Iterator[Any]:
    """The YAML documents of a loop file. Raises ConfigurationError."""
    try:
        yield from yaml.safe_load_all(path.read_bytes().decode())
    except OSError as error:
        raise ConfigurationError(f"the loop file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the loop file {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"the loop file {path} is not valid YAML: {yaml_problem(error)}") from None


def yaml_problem(error: Exception) -> str:
    """What is wrong with a YAML text and where, without the text itself: it may hold secrets."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return f"{error.problem or error.context}" + (f" (line {mark.line + 1}, column {mark.column + 1})" if mark else "")
    if isinstance(error, ReaderError):
        return f"{error.reason} (character {error.position + 1})"
    return "it is nested too deeply" if isinstance(error, RecursionError) else type(error).__name__


def loop_of(document: dict[str, Any], path: Path) -> LoopConfig:
    """The loop of one document of the loop file at `path`. Raises ConfigurationError."""
    try:
        return located(read_loop(document.get("attributes"), path), path.parent)
    except (ValidationError, InvalidInput, TemplateError, ArithmeticError, TypeError) as error:
        raise ConfigurationError(f"{path}: {masked(in_one_line(error), document.get('attributes'))}") from None  # it may hold secrets


def read_loop(attributes: Any, path: Path) -> LoopConfig:
    """The loop of the attributes in a loop file, which `path` names in warnings about old names. Raises ValueError."""
    lifted, renamed = current(attributes)
    warn(renamed, path)
    return LoopConfig.model_validate(rendered(lifted))


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
    """Attributes with `{{ env.NAME }}` replaced by that environment variable. Raises ConfigurationError naming one that is not set."""
    if isinstance(attributes, dict):
        return {key: rendered(value) for key, value in attributes.items()}
    if isinstance(attributes, list):
        return [rendered(value) for value in attributes]
    if isinstance(attributes, str) and "{{" in attributes:
        return SandboxedEnvironment().from_string(attributes).render(env=_Environment())
    return attributes


def masked(text: str, attributes: Any) -> str:
    """A message in which values of the environment variables that the attributes name are written as the file writes them."""
    names = re.findall(r"\benv\W+(\w+)", repr(attributes))
    values = {os.environ.get(name, ""): name for name in names}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= 4:  # a shorter one is no secret, and may be part of any word
            for written in (value, repr(value)[1:-1]):
                text = text.replace(written, f"{{{{ env.{values[value]} }}}}")
    return text


class _Environment:
    def __getattr__(self, name: str) -> str:
        try:
            return os.environ[name]
        except KeyError:
            raise ConfigurationError(f"the loop file names the environment variable {name}, which is not set") from None


def located(loop: LoopConfig, folder: Path) -> LoopConfig:
    """The loop with its data files relative to the folder of its YAML file."""
    dataset = loop.dataset.model_copy(update={"seed": folder / loop.dataset.seed})
    sets = [each.model_copy(update={"file": folder / each.file}) for each in loop.sets]
    judge = loop.llm_judge and loop.llm_judge.model_copy(update={"labels": folder / loop.llm_judge.labels})
    return loop.model_copy(update={"dataset": dataset, "golden_set": folder / loop.golden_set, "sets": sets, "llm_judge": judge})
