"""The newest report of each kind, as the gateway shows it to Prometheus."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter

from ftassets.domain import formats
from ftassets.domain.canonical import parse_json
from ftassets.domain.gates.result import Verdict

EVALUATED = "evaluated"  # among the values of golden rows: the share in the version's own evaluation
SILENT = 3 * 86_400.0  # seconds without a verdict from which a monitor says so


class LatestReport(BaseModel):
    """What the newest report of a kind found: `values` and the `limits` they are held against, by name. `at` in epoch seconds.

    `unmeasured_since` is when the first of the reports in a row was made that had too little data for a verdict; None if this has one.
    `note` says in words what it compares with, or what it waits for and until when; empty where there is nothing to say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: FiniteFloat
    version: str | None
    verdict: str
    values: dict[str, FiniteFloat] = {}
    limits: dict[str, FiniteFloat] = {}
    unmeasured_since: FiniteFloat | None = None
    note: str = ""

    def after(self, known: "LatestReport | None") -> "LatestReport":
        """The report as the one that follows a known one."""
        if self.verdict != Verdict.NOT_ENOUGH_DATA:
            return self.model_copy(update={"unmeasured_since": None})
        since = known.unmeasured_since if known else None
        return self.model_copy(update={"unmeasured_since": self.at if since is None else since})

    def silence(self, now: float) -> float | None:
        """Seconds for which the reports of this kind have had no verdict, from `SILENT` on; None for less."""
        silent = 0.0 if self.unmeasured_since is None else now - self.unmeasured_since
        return silent if silent >= SILENT else None


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
