"""Durations and shares as people write them in a loop file."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ftassets.errors import InvalidInput

_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def seconds(value: Any) -> Any:
    """Seconds of a duration such as 5m or 24h; a number is taken as it is. Raises InvalidInput."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise InvalidInput("this is not a duration: write a number and s, m, h or d, for example 5m or 24h")
        try:
            return timedelta(**{_UNITS[match[2]]: int(match[1])}).total_seconds()
        except (OverflowError, ValueError) as error:  # ValueError: more digits than Python reads
            raise InvalidInput("this duration is too long: the longest is 999999999d") from error
    return value


def _fraction(value: Any) -> Any:
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            raise InvalidInput("this is not a share: write a number from 0 to 1 or a percentage, for example 0.05 or 5%") from None
    return value


# `unit` in the JSON schema says how the number is written: docs/loop-file.md shows defaults that way
Seconds = Annotated[
    float,
    BeforeValidator(seconds, json_schema_input_type=str | float),
    Field(gt=0, allow_inf_nan=False, json_schema_extra={"unit": "duration"}),
]
Fraction = Annotated[
    float,
    BeforeValidator(_fraction, json_schema_input_type=str | float),
    Field(ge=0, allow_inf_nan=False, json_schema_extra={"unit": "share"}),
]


class OneOf:
    """`Annotated[str, OneOf(TABLE)]`: a name out of a table; these names are in the JSON schema and in the error about any other."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(self._names)


class Strict(BaseModel):
    """Settings: no unknown field, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
