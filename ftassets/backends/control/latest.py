"""The newest report of each kind in one small file a loop: what the gateway shows to Prometheus."""

from filelock import FileLock

from ftassets.config.home import Home
from ftassets.domain.canonical import canonical_json
from ftassets.domain.monitoring.latest import LATEST, LatestReport, read_latest
from ftassets.durable import write_durably


def record(home: Home, loop: str, name: str, values: LatestReport) -> None:
    """Make `values` the newest report called `name`, for example `drift_report`; an older one than the one there is left out.

    Raises OSError when the file cannot be written.
    """
    folder = home.reports / loop
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LATEST
    with FileLock(folder / f"{LATEST}.lock"):
        known = read_latest(path.read_bytes() if path.exists() else b"{}")
        if name in known and known[name].at > values.at:
            return
        known[name] = values
        write_durably(path, canonical_json({each: report.model_dump() for each, report in known.items()}))
