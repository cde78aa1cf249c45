"""Logs of other systems taken into a loop's traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.config.text_lines import lines_of
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic import imports
from ftassets.domain.traffic.exchange import Exchange
from ftassets.errors import InvalidInput

_BATCH = 1000  # rows stored at a time


@dataclass(frozen=True)
class ImportReport:
    """Rows of an imported log: read = stored + already (in the log, or forgotten). What was no row is in `quarantined`."""

    read: int
    stored: int
    already: int
    quarantined: list[Quarantined]


def import_traffic(traffic_log: TrafficLog, loop: LoopConfig, path: Path, format: str, version: str | None = None) -> ImportReport:
    """Take a log of another system into the loop's traffic; doing it again changes nothing.

    `version` is who answered, without it the model each row names. Rows without a time get the file's modification time.
    Bad lines are in the report and nowhere else. Raises InvalidInput for an unknown format and a file without a row, OSError when the
    file cannot be read.
    """
    read = stored = 0
    bad: list[Quarantined] = []
    batch: list[Exchange] = []
    for found in imports.read(lines_of(path), format, loop.name, version, at=path.stat().st_mtime):
        if isinstance(found, Quarantined):
            bad.append(found)
            continue
        read += 1
        batch.append(found.judged(loop.task.form))
        if len(batch) == _BATCH:
            stored += traffic_log.append(batch)
            batch = []
    if not read:
        raise InvalidInput(_nothing(path, format, bad))
    stored += traffic_log.append(batch)
    return ImportReport(read, stored, read - stored, bad)


def _nothing(path: Path, format: str, bad: Sequence[Quarantined]) -> str:
    """Why a file gave no row, and what to do."""
    if not bad:
        return f"{path} has no record"
    fits = imports.fitting(lines_of(path))
    advice = f"it has rows in another format: --format {fits[0]}" if fits else "no other format fits either"
    refused = f"Refused records: {len(bad):,}, the first at {bad[0].where}: {bad[0].reason}"
    return f"{path} has no row in the format {format}, {advice}. {refused}"
