"""The newest report of each kind, as the gateway shows it to Prometheus."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter

from ftassets.domain import formats
from ftassets.domain.canonical import parse_json


class LatestReport(BaseModel):
    """What the newest report of a kind found: `values` and the `limits` they are held against, by name. `at` in epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: FiniteFloat
    version: str | None
    verdict: str
    values: dict[str, FiniteFloat] = {}
    limits: dict[str, FiniteFloat] = {}


_LATEST = TypeAdapter(dict[str, LatestReport])


def read_latest(content: bytes) -> dict[str, LatestReport]:
    """The reports of a `latest.json` by name; none where it is not one, since each report writes its part again."""
    try:
        return _LATEST.validate_python(formats.read("latest", parse_json(content)))
    except ValueError:
        return {}


def latest_document(reports: Mapping[str, LatestReport]) -> dict[str, Any]:
    """What a `latest.json` holds."""
    return formats.stamp("latest", {name: report.model_dump() for name, report in reports.items()})
