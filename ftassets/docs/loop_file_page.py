"""`docs/loop-file.md`: every field of a loop file with type, range, default, example and meaning, from the JSON schema of `LoopConfig`."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ftassets.config.loop import LoopConfig
from ftassets.docs.schema_words import NONE, as_yaml, range_of, type_of, without_null, written
from ftassets.reporting.tables import markdown_table

EXAMPLE = Path(__file__).with_name("loop_file_example.yaml")
_INTRO = """\
One YAML file describes one loop. It is called `defs.yaml`, in a folder of its own below the folder of loops: the `defs`
folder of your Dagster project, or the one that `--loops` or `FTASSETS_LOOPS` names. `make docs` writes this page from
the schema: do not edit it.

- A field that is not listed here is an error that names the file and the field.
- A duration is a number with a unit, `30s`, `5m`, `24h` or `7d`, or a plain number of seconds.
- A share is a number from 0, or a percentage: `0.05` and `5%` are the same.
- Paths are relative to the folder of the file.
- `{{ env.NAME }}` in a value is replaced by the environment variable NAME. A key of an API is never written in the file,
  only the name of the variable that holds it.
- "none" as default means that the field is not set: the feature is off, or the text says what applies.

## A complete file

Every field with a value that works. Most loops need a tenth of it, as the second loop of this file: `name`,
`base_model`, `task`, `dataset`, `golden_set` and `gates`.
"""


@dataclass(frozen=True)
class Described:
    """One field as the page shows it."""

    name: str
    type: str
    range: str
    default: str
    example: str
    meaning: str


@dataclass(frozen=True)
class Section:
    """One model of the loop file: its path, for example `retrain_on.drift` or `gates[]`, and its fields."""

    path: str
    text: str
    fields: tuple[Described, ...]


def page() -> str:
    """The page."""
    parts = ["# The loop file\n", _INTRO, f"```yaml\n{EXAMPLE.read_text(encoding='utf-8').strip()}\n```"]
    for section in sections():
        title = section.path.replace("[]", " (a list)") or "attributes"
        notes: list[str] = []
        rows = []
        for field in section.fields:
            short, rest = _split(field.meaning)
            rows.append((f"`{field.name}`", field.type, field.range, field.default, field.example, short))
            if rest:
                notes.append(textwrap.fill(f"- `{field.name}`: {rest}", 120, subsequent_indent="  ", break_long_words=False))
        table = markdown_table(["field", "type", "range", "default", "example", "meaning"], rows)
        parts.append(f"\n## {title}\n\n{textwrap.fill(section.text, 120)}\n\n{table}")
        if notes:
            parts.append("\n" + "\n".join(notes))
    return "\n".join(parts) + "\n"


def sections() -> list[Section]:
    """Every section of the loop file, each before those it contains, in the order of the fields."""
    schema = LoopConfig.model_json_schema()
    loops = yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8"))
    return list(_walk("", schema, schema["$defs"], [loop["attributes"] for loop in loops]))


def _walk(path: str, model: Mapping[str, Any], models: Mapping[str, Any], examples: list[Mapping[str, Any]]) -> Iterator[Section]:
    """The section of a model, then those below it. `examples` are objects of the model in the example file."""
    fields, below = [], []
    for name, schema in model["properties"].items():
        given = [each[name] for each in examples if name in each]
        if not given:
            raise KeyError(f"{EXAMPLE.name} has no example of {path}.{name}: add one")
        nested, is_list = _nested(schema)
        if nested:
            place = f"{path.replace('[]', '')}.{name}".removeprefix(".") + ("[]" if is_list else "")
            below.append((place, models[nested], [each for items in given for each in items] if is_list else given))
            meaning = schema.get("description") or models[nested]["description"]
            fields.append(_section_field(name, schema, place, is_list, name in model.get("required", ()), meaning))
        else:
            fields.append(_field(name, schema, given[0], name in model.get("required", ())))
    yield Section(path, " ".join(model.get("description", "").split()), tuple(fields))
    for place, nested_model, found in below:
        yield from _walk(place, nested_model, models, found)


def _nested(schema: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Name of the model a field holds, and whether it holds a list of them."""
    plain = without_null(schema)
    if reference := plain.get("$ref"):
        return reference.rsplit("/", 1)[1], False
    if reference := plain.get("items", {}).get("$ref"):
        return reference.rsplit("/", 1)[1], True
    return None, False


def _section_field(name: str, schema: Mapping[str, Any], place: str, is_list: bool, required: bool, meaning: str) -> Described:
    anchor = place.replace("[]", "-a-list").replace(".", "")
    link = f"[{place.removesuffix('[]')}](#{anchor})"
    default = "required" if required else NONE if schema.get("default") in (None, []) else "its defaults"
    smallest = schema.get("minItems")
    kind = "list of sections" if is_list else "section"
    return Described(name, kind, f"at least {smallest} entry" if smallest else "any", default, f"see {link}", meaning)


def _field(name: str, schema: Mapping[str, Any], example: Any, required: bool) -> Described:
    plain = without_null(schema)
    default = "required" if required else written(schema.get("default"), plain.get("unit"))
    return Described(name, type_of(plain), range_of(plain), default, f"`{as_yaml(example)}`", schema.get("description", ""))


def _split(meaning: str) -> tuple[str, str]:
    """The first sentence, and the others."""
    first, dot, rest = meaning.partition(". ")
    return (first + "." if dot else first), rest
