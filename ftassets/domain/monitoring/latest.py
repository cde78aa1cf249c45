"""The newest report of each kind, as the gateway shows it to Prometheus."""

from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, ValidationError


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
        return _LATEST.validate_json(content)
    except ValidationError:
        return {}
