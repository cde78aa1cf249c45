"""The JSON Schema that each call of a tool-call task fits: `task.call_schema`."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ftassets.domain.canonical import parse_json

_SHOWN = 80


def schema_objection(schema: Mapping[str, Any]) -> str | None:
    """Why answers cannot be compared with this schema, None if they can. All that it refers to must be in it: nothing is fetched."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY
    from referencing import Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    try:
        text = json.dumps(schema, allow_nan=False)
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
        resolver = REGISTRY.resolver_with_root(Resource.from_contents(schema, default_specification=DRAFT202012))
        for reference in _references(schema):
            try:
                resolver.lookup(reference)
            except Unresolvable:
                return f"the reference {reference[:_SHOWN]!r} leads to nothing in the schema"
        call_fault(text, {})
    except SchemaError as error:
        return f"at {error.json_path}: {error.message[:_SHOWN]}"
    except RecursionError:
        return "it refers to itself without an end"
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def call_fault(schema: str, call: Mapping[str, Any]) -> str | None:
    """Where a call does not fit the schema (JSON) and which rule it breaks, without the values it has; None if it fits."""
    found = sorted(_validator(schema).iter_errors(call), key=lambda each: (len(each.absolute_path), each.json_path))
    if not found:
        return None
    rule = json.dumps({found[0].validator: found[0].validator_value}, ensure_ascii=False)[1:-1]
    return f"at {found[0].json_path}: {rule if len(rule) <= _SHOWN else f'{rule[:_SHOWN]}...'}"


@lru_cache(16)
def _validator(schema: str) -> Any:
    """Compiled once: the gateway asks for each answer. Only the schemas of JSON Schema itself are known: nothing is fetched."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY

    document = parse_json(schema)
    return validator_for(document, default=Draft202012Validator)(document, registry=REGISTRY)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key in ("$ref", "$dynamicRef") and isinstance(part, str):
                yield part
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)
