"""The newest report of each kind in one small document a loop: what the gateway shows to Prometheus."""

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.monitoring.latest import LatestReport, latest_document, read_latest

FOLDER = "reports"  # next to the reports, which are artifacts


def record_latest(control: Control, loop: str, name: str, values: LatestReport) -> LatestReport:
    """Make `values` the newest report called `name`, for example `drift_report`; an older one than the one there is left out.

    Returns it as it follows the one before. Raises OSError when it cannot be written.
    """
    following = values

    def change(content: bytes | None) -> bytes | None:
        nonlocal following
        known = read_latest(content or b"{}")
        following = values.after(known.get(name))
        if name in known and known[name].at > values.at:
            return None
        return canonical_json(latest_document({**known, name: following}))

    control.update(_key(loop), change)
    return following


def newest_reports(control: Control, loop: str) -> dict[str, LatestReport]:
    """The newest reports of a loop by name; none where the document is damaged, since each report writes its part again.

    Raises OSError when it cannot be read.
    """
    return read_latest(control.read(_key(loop)) or b"{}")


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}/latest.json"
