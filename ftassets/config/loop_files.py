"""Reading loop files without Dagster, for the processes that serve."""

import difflib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ftassets.config.loop import LoopConfig
from ftassets.config.yaml_lines import Place, line_of, lines_of
from ftassets.domain import formats
from ftassets.errors import ConfigurationError, InvalidInput, in_one_line

COMPONENTS = ("ftassets.FineTuneLoop", "ftassets.components.FineTuneLoop")  # the second: loop files of format 1
NAMES = ("defs.yaml", "defs.yml", "component.yaml")  # in one folder Dagster reads the first of them that is there
LOOPS = Path(__file__).parents[1] / "loops"  # what comes with the package, for the demo
MOST_VALUES = 100_000  # in one document, what an alias stands for counted each time

log = logging.getLogger(__name__)


class UnknownLoop(InvalidInput):
    """No loop has this name; the message lists the existing names."""


@dataclass(frozen=True)
class BrokenFile:
    """A loop file that cannot be used: the problem, which names the file, and the names its loops have or probably have."""

    path: Path
    problem: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class LoopFiles:
    """The loops below a folder whose files can be used, by name; the files of these loops; and the files that cannot be used."""

    loops: dict[str, LoopConfig]
    paths: dict[str, Path]
    broken: list[BrokenFile]


def read_loops(folder: Path) -> dict[str, LoopConfig]:
    """All loops below a folder, by name; relative paths in them are made absolute. Raises ConfigurationError on a bad file.

    Components of other packages are passed over. A file with a misspelt type is refused: its loop would be missed.
    """
    found = read_loop_files(folder)
    if found.broken:
        raise ConfigurationError(found.broken[0].problem)
    return found.loops


def read_loop_files(folder: Path) -> LoopFiles:
    """As `read_loops`, but a file that cannot be used is only listed: it stops no other loop. A name that two files have is left out.

    Raises ConfigurationError when the folder cannot be read.
    """
    found: dict[str, list[tuple[LoopConfig, Path]]] = {}
    broken: list[BrokenFile] = []
    for path in loop_paths(folder):
        try:
            for loop in list(loops_in(path)):
                found.setdefault(loop.name, []).append((loop, path))
                if len(found[loop.name]) > 1:
                    broken.append(BrokenFile(path, _two(path, loop.name), (loop.name,)))
        except ConfigurationError as error:
            broken.append(BrokenFile(path, str(error), _names_in(path)))
    sound = {name: same[0] for name, same in found.items() if len(same) == 1}
    return LoopFiles({name: loop for name, (loop, _) in sound.items()}, {name: path for name, (_, path) in sound.items()}, broken)


def loops_in(path: Path, content: bytes | None = None) -> Iterator[LoopConfig]:
    """The loops of the file at `path`, or of the content that it had. Raises ConfigurationError."""
    found = list(nodes(path, content))
    if not any(document for _, document in found):
        log.warning("%s holds nothing and is passed over: write a loop into it, or delete it", path)
    for node, document in found:
        if isinstance(document, dict) and document.get("type") in COMPONENTS:
            yield loop_of(document, path, lines_of(node))
        elif meant := misspelt(document):
            raise ConfigurationError(f"{path}:{line_of(lines_of(node), ('type',))}: {meant}")


def _two(path: Path, name: str) -> str:
    return f"{path}: there are two loops named {name}"


def _names_in(path: Path) -> tuple[str, ...]:
    """Names of the loops in a file that cannot be used, as far as it can be read; else that of its folder, as `ftassets init` has it."""
    try:
        attributes = [document.get("attributes", document) for document in documents(path) if isinstance(document, dict)]
    except ConfigurationError:
        attributes = []
    named = [each["name"] for each in attributes if isinstance(each, dict) and isinstance(each.get("name"), str)]
    return tuple(named) or (path.parent.name,)


def loop_paths(folder: Path) -> list[Path]:
    """Paths of all loop files below a folder. Raises ConfigurationError when that folder cannot be read.

    A link to nothing is one of them, and so is the file that a folder which cannot be read may hold: their loops must be missed.
    """

    def refuse(error: OSError) -> None:
        if Path(error.filename) == Path(folder):
            raise ConfigurationError(f"the folder of loops {error.filename} cannot be read: {error.strerror}") from error
        paths.append(Path(error.filename, NAMES[0]))

    paths: list[Path] = []
    seen = set()
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        if os.path.realpath(place) in seen:  # links may form a circle
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        paths += [Path(place, name) for name in NAMES if name in [*folders, *files]][:1]
        # neither hidden folders nor virtual environments: an installed ftassets has loops too
        folders[:] = [name for name in folders if not name.startswith((".", "__")) and not Path(place, name, "pyvenv.cfg").exists()]
    return sorted(paths)


def misspelt(document: Any) -> str | None:
    """What to write instead if this document was meant as a loop, but its type is not that of one; None for another component."""
    if document is None:  # between two lines `---`
        return None
    if not isinstance(document, dict):
        kind = "a list" if isinstance(document, list) else "a single value"
        return f"this is {kind}, not a loop: write `type: {COMPONENTS[0]}` and the loop below `attributes:`"
    named, attributes = document.get("type"), document.get("attributes", document)
    if not isinstance(named, str):
        like_a_loop = isinstance(attributes, dict) and {"base_model", "golden_set", "gates"} <= attributes.keys()
        return f"a loop without a type: write `type: {COMPONENTS[0]}` and the loop below `attributes:`" if like_a_loop else None
    package = named.partition(".")[0]
    full = named if "." in named else f"ftassets.{named}"
    if package == "ftassets" or difflib.get_close_matches(full.lower(), [name.lower() for name in COMPONENTS], cutoff=0.9):
        return f"there is no component {named!r}: a loop has `type: {COMPONENTS[0]}`"
    return None


def documents(path: Path) -> Iterator[Any]:
    """The YAML documents of a loop file. Raises ConfigurationError."""
    return (document for _, document in nodes(path))


def nodes(path: Path, content: bytes | None = None) -> Iterator[tuple[yaml.Node, Any]]:
    """The YAML documents of a loop file as nodes, which know their lines, and as values; `content` is read in place of the file.

    Raises ConfigurationError.
    """
    try:
        loader = yaml.SafeLoader((path.read_bytes() if content is None else content).decode())
        while loader.check_node():
            node = loader.get_node()
            if not _small(node):
                raise ConfigurationError(
                    f"the loop file {path} has more than {MOST_VALUES} values: an alias contains itself, or aliases multiply"
                )
            yield node, loader.construct_document(node)
    except OSError as error:
        raise ConfigurationError(f"the loop file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the loop file {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except InvalidInput:
        raise
    except Exception as error:  # PyYAML has errors of many types for a value that does not fit its tag, such as an integer of 5000 digits
        raise ConfigurationError(f"the loop file {path} is not valid YAML: {yaml_problem(error)}") from None


def yaml_problem(error: Exception) -> str:
    """What is wrong with a YAML text and where, without the text itself: it may hold secrets."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return f"{error.problem or error.context}" + (f" (line {mark.line + 1}, column {mark.column + 1})" if mark else "")
    if isinstance(error, yaml.reader.ReaderError):
        return f"{error.reason} (character {error.position + 1})"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return f"a value in it cannot be read ({type(error).__name__}), for example a number that is too long or a date that does not exist"


def _small(document: yaml.Node) -> bool:
    """Whether a document, with every alias replaced by what it stands for, has at most MOST_VALUES values."""
    pending, count = [document], 0
    while pending and count <= MOST_VALUES:
        node = pending.pop()
        count += 1
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            pending += [each for pair in node.value for each in pair]
    return count <= MOST_VALUES


def loop_of(document: dict[str, Any], path: Path, lines: Mapping[Place, int] | None = None) -> LoopConfig:
    """The loop of one document of the loop file at `path`. Raises ConfigurationError, with the line of the first wrong field by `lines`."""
    try:
        return located(read_loop(document.get("attributes"), path), path.parent)
    except (ValidationError, InvalidInput) as error:
        text = masked(in_one_line(error), document.get("attributes"))  # it may hold secrets
        field = [int(part) if part.isdecimal() else part for part in text.partition(":")[0].split(".")]
        line = f":{line_of(lines, ('attributes', *field))}" if lines else ""
        raise ConfigurationError(f"{path}{line}: {text}") from None


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


def rendered(attributes: Any, place: str = "") -> Any:
    """Attributes with `{{ env.NAME }}` replaced by that environment variable. Raises ConfigurationError naming the field."""
    if isinstance(attributes, dict):
        return {key: rendered(value, f"{place}.{key}" if place else str(key)) for key, value in attributes.items()}
    if isinstance(attributes, list):
        return [rendered(value, f"{place}.{number}") for number, value in enumerate(attributes)]
    if not isinstance(attributes, str):
        return attributes
    text = _render(attributes, place) if "{{" in attributes else attributes
    if re.search("[\0\ud800-\udfff]", text):
        raise ConfigurationError(f"{place}: the text has a character that no file or program takes (NUL or a surrogate): remove it")
    return text


def _render(template: str, place: str) -> str:
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import SandboxedEnvironment

    try:
        return SandboxedEnvironment(undefined=StrictUndefined).from_string(template).render(env=_Environment())
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    except TemplateSyntaxError as error:
        raise ConfigurationError(f"{place}: the template is not valid ({error.message}): write {{{{ env.NAME }}}}") from None
    except Exception as error:  # whatever an expression does; the words of its error may hold the values of variables
        raise ConfigurationError(f"{place}: the template cannot be rendered ({type(error).__name__}): write {{{{ env.NAME }}}}") from None


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
    unsafe_callable, alters_data, jinja_pass_arg = False, False, None  # what Jinja asks before it calls something

    def __getattr__(self, name: str) -> str:
        try:
            return os.environ[name]
        except KeyError:
            raise ConfigurationError(f"the loop file names the environment variable {name}, which is not set") from None

    def __str__(self) -> str:
        raise ConfigurationError("env alone is not a value: write {{ env.NAME }} with the name of an environment variable")

    def __call__(self, *args: object, **kwargs: object) -> str:
        raise ConfigurationError("env is not a function: write {{ env.NAME }} with the name of an environment variable")


def data_files(loop: LoopConfig) -> list[Path]:
    """The files that a loop file names and that are there: what people wrote, which no command writes over."""

    def paths(value: object) -> Iterator[Path]:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, BaseModel):
            yield from (path for _, field in value for path in paths(field))
        elif isinstance(value, list):
            yield from (path for member in value for path in paths(member))

    return sorted({path for path in paths(loop) if path.is_file()})


def located(loop: LoopConfig, folder: Path) -> LoopConfig:
    """The loop with its data files relative to the folder of its YAML file."""
    dataset = loop.dataset.model_copy(update={"seed": folder / loop.dataset.seed})
    sets = [each.model_copy(update={"file": folder / each.file}) for each in loop.sets]
    judge = loop.llm_judge and loop.llm_judge.model_copy(update={"labels": folder / loop.llm_judge.labels})
    traffic = loop.traffic.model_copy(update={"export": loop.traffic.export and folder / loop.traffic.export})
    train = loop.train.model_copy(update={"command_folder": folder / loop.train.command_folder})
    files = {"dataset": dataset, "golden_set": folder / loop.golden_set, "sets": sets, "llm_judge": judge, "traffic": traffic}
    return loop.model_copy(update={**files, "train": train})
