"""Types, ranges and values of a JSON schema in words."""

from collections.abc import Mapping
from typing import Any

import yaml

NONE = "none"
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_NAMES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "object": "object", "null": "null"}


def without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a value that is not null, where null is one of two choices."""
    others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return others[0] if len(others) == 1 else schema


def type_of(schema: Mapping[str, Any]) -> str:
    """The type in a word or two; `unit` (duration, share) and `format` (path) count before the JSON type."""
    if "unit" in schema:
        return str(schema["unit"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(each) for each in schema["anyOf"] if each.get("type") != "null"))
    if schema.get("format") == "path":
        return "file"
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"mapping of text to {type_of(schema['additionalProperties'])}"
    return "name" if "enum" in schema or "const" in schema else _NAMES.get(schema.get("type", ""), "any")


def range_of(schema: Mapping[str, Any]) -> str:
    """Allowed values; `any` when the type is the only rule."""
    if names := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{each}`" for each in names)
    if schema.get("type") == "array":
        return ", ".join(filter(None, [_count(schema), range_of(schema["items"])])).removesuffix(", any") or "any"
    if schema.get("type") == "boolean":
        return "`true`, `false`"
    if "pattern" in schema:
        return f"matches `{schema['pattern']}`"
    if "minLength" in schema or "maxLength" in schema:
        longest = f"at most {schema['maxLength']:,} characters" if "maxLength" in schema else ""
        return ", ".join(filter(None, ["not empty" if schema.get("minLength") else "", longest]))
    low, above = schema.get("minimum", schema.get("ge")), schema.get("exclusiveMinimum", schema.get("gt"))
    high, below = schema.get("maximum", schema.get("le")), schema.get("exclusiveMaximum", schema.get("lt"))
    if low is not None and high is not None:
        return f"{number(low)} to {number(high)}"
    words = [("at least", low), ("above", above), ("at most", high), ("below", below)]
    return ", ".join(f"{word} {number(value)}" for word, value in words if value is not None) or "any"


def _count(schema: Mapping[str, Any]) -> str:
    if "minItems" not in schema:
        return ""
    return f"{schema['minItems']} items" if schema["minItems"] == schema.get("maxItems") else "not empty"


def written(value: Any, unit: str | None = None) -> str:
    """A value as one writes it: `30d` for the seconds of a duration, `5%` for a share, else YAML."""
    if value is None:
        return NONE
    if unit == "duration":
        letter, size = next((letter, size) for letter, size in _UNITS if value % size == 0 or letter == "s")
        return f"`{number(value / size)}{letter}`"
    return f"`{number(100 * value)}%`" if unit == "share" else f"`{as_yaml(value)}`"


def number(value: float) -> str:
    """A number without trailing zeros."""
    return f"{value:.10g}"


def as_yaml(value: Any) -> str:
    """One line of YAML."""
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, float):
        return number(value)
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).strip().removesuffix("\n...")
