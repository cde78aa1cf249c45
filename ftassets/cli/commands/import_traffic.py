"""Logs of other systems taken into a loop's traffic, with the feedback on the answers."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ftassets.backends.traffic_log.base import TrafficLog, UnknownAnswer
from ftassets.config.loop import LoopConfig
from ftassets.config.text_lines import lines_of
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.file_formats import AUTO
from ftassets.domain.json_items import DamagedArray, numbered_items
from ftassets.domain.traffic import imports
from ftassets.domain.traffic.exchange import Exchange, keyed_user
from ftassets.domain.traffic.imports.guess import Guess, guess
from ftassets.errors import InvalidInput

_BATCH = 1000  # rows stored at a time


@dataclass(frozen=True)
class ImportReport:
    """Rows of an imported log: read = stored + already (in the log, or forgotten). What was no row is in `quarantined`.

    Of the stored ones, `renamed` had the id of another exchange and got one of their own. `cut` answers ended at the token limit;
    `feedback` counts answers with new feedback.
    """

    format: str
    read: int
    stored: int
    already: int
    renamed: int
    cut: int
    feedback: int
    quarantined: list[Quarantined]


def import_traffic(
    traffic_log: TrafficLog, loop: LoopConfig, path: Path, format: str = AUTO, version: str | None = None, secret: str = ""
) -> ImportReport:
    """Take a log of another system into the loop's traffic; doing it again changes nothing.

    The format `auto` is the one in which the file's rows carry the most. `version` is who answered, without it the model each row names.
    `secret` is the home's, for the hashes of users. Rows without a time get the file's modification time. Bad lines are in the report
    and nowhere else. Raises InvalidInput for an unknown format and a file without a row, OSError when the file cannot be read.
    """
    if format == AUTO:
        format = _format_of(path)
    report = ImportReport(format, 0, 0, 0, 0, 0, 0, [])
    call_field = loop.task.label if loop.task.type == "tool_call" else None
    found = imports.read(lines_of(path), format, loop.name, version, path.stat().st_mtime, time.time(), call_field)
    while batch := list(islice(found, _BATCH)):
        rows = [_known_by(each, secret) for each in batch if not isinstance(each, Quarantined)]
        report.quarantined.extend(each for each in batch if isinstance(each, Quarantined))
        report = _stored(traffic_log, loop, rows, report)
    if not report.read:
        raise InvalidInput(_nothing(path, format, report.quarantined))
    return report


def _known_by(row: imports.Row, secret: str) -> imports.Row:
    """The row with its user hashed as the gateway does it: whoever uses both is one user."""
    return replace(row, exchange=replace(row.exchange, user=keyed_user(row.exchange.user, secret)))


def _stored(traffic_log: TrafficLog, loop: LoopConfig, rows: Sequence[imports.Row], before: ImportReport) -> ImportReport:
    own = _with_own_ids(traffic_log, rows)
    stored = traffic_log.append([row.exchange.judged(loop.task.form, row.cut) for row in own])
    known = traffic_log.feedback_on([row.exchange.id for row in own if row.feedback])
    added = 0
    for feedback in (row.feedback for row in own if row.feedback):
        earlier = known.get(feedback.request_id)
        if earlier and replace(earlier, at=feedback.at) == feedback:
            continue
        with suppress(UnknownAnswer):  # it was forgotten
            traffic_log.add_feedback(feedback)
            added += 1
    return replace(
        before,
        read=before.read + len(rows),
        stored=before.stored + stored,
        already=before.already + len(rows) - stored,
        renamed=before.renamed + sum(row.exchange.id != each.exchange.id for row, each in zip(own, rows, strict=True)),
        cut=before.cut + sum(row.cut for row in rows),
        feedback=before.feedback + added,
    )


def _with_own_ids(traffic_log: TrafficLog, rows: Sequence[imports.Row]) -> list[imports.Row]:
    """The rows, where one with the id of another exchange of the log or of the file has an id of its own."""
    taken: dict[str, Exchange] = {each.id: each for each in traffic_log.named(None, sorted({row.exchange.id for row in rows}))}
    own = []
    for row in rows:
        if row.differs(taken.setdefault(row.exchange.id, row.exchange)):
            row = row.renamed()
        own.append(row)
    return own


def _format_of(path: Path) -> str:
    """The format of a log. Raises InvalidInput if no format fits."""
    if fits := imports.fitting(lines_of(path)):
        return fits[0]
    found = guess_of(path)
    if found and found.format:
        return found.format
    items = [item for _, item in islice(numbered_items(lines_of(path)), imports.TRIED)]
    if not items:
        raise InvalidInput(f"{path} has no record")
    damaged = next((f", and damaged: {item}" for item in items if isinstance(item, DamagedArray)), "")
    what = f"probably {found.words}" if found else f"in no known form{damaged}"
    raise InvalidInput(f"{path} is not a log that can be imported: it is {what}")


def _nothing(path: Path, format: str, bad: Sequence[Quarantined]) -> str:
    """Why a file gave no row, and what to do."""
    found = guess_of(path)
    if not bad:
        return f"{path} has no record" + (f": it is probably {found.words}" if found else "")
    fits = [name for name in imports.fitting(lines_of(path)) if name != format]
    if fits:
        advice = f"it has rows in another format: --format {fits[0]}"
    else:
        advice = f"it is probably {found.words}" if found else "no other format fits either"
        advice += f" (--format {found.format})" if found and found.format not in (None, format) else ""
    refused = f"Refused records: {len(bad):,}, the first at {bad[0].where}: {bad[0].reason}"
    return f"{path} has no row in the format {format}, {advice}. {refused}"


def guess_of(path: Path) -> Guess | None:
    """What a file probably is. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(4096)
    try:
        return guess(head, lines_of(path))
    except InvalidInput:  # a damaged file, which is told where it is read
        return None
