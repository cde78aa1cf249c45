"""Logs of other systems taken into a loop's traffic, with the feedback on the answers."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
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
from ftassets.domain.traffic.feedback import Feedback, added_up
from ftassets.domain.traffic.imports.guess import Guess, guess
from ftassets.errors import InvalidInput
from ftassets.wording import amount

_BATCH = 1000  # rows stored at a time
_TOGETHER = "give the file that has it in the same command, also if it was imported before"
_NO_ANSWER = "{name}: no answer of this name is in these files or known to the log: " + _TOGETHER + ", unless it was forgotten"
_BARE = "comments of people on answers without a thumb or a correction"
TRACED = ("openinference", "otel", "mlflow")  # formats whose ids say trace and span


@dataclass(frozen=True)
class ImportReport:
    """Rows of imported logs: read = stored + already (in the log, or forgotten). What was no row is in `quarantined`.

    Of the stored ones, `renamed` had the id of another exchange and got one of their own. `stopped` answers do not have the task's form
    because they ended at the token limit, were stopped by a filter or are refusals.
    `assessed` are people's scores and annotations in records of their own that found their answer; `feedback` counts what is new of them
    and of the rows' own feedback. `left_out` counts by name what was not read: fields with text, and scores by others than people.
    `refused` says why a file gave nothing, or not all, and what to do; the other files are imported.
    """

    format: str
    read: int = 0
    stored: int = 0
    already: int = 0
    renamed: int = 0
    stopped: int = 0
    assessed: int = 0
    feedback: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    quarantined: list[Quarantined] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def describe(report: ImportReport) -> list[str]:
    """What an import did as lines for a terminal, without the records that were refused."""
    counts = f"{report.stored} stored, {report.already} there already, {amount(len(report.quarantined), 'record')} not usable"
    lines = [f"{amount(report.read, 'row')} read as {report.format}, {counts}"]
    if report.renamed:
        lines.append(f"{amount(report.renamed, 'row had', 'rows had')} the id of another exchange, and have one of their own now")
    if report.stopped:
        why = "cut at the token limit, stopped by a filter or refused by the model"
        lines.append(f"{amount(report.stopped, 'answer')} {why}: not counted as well formed")
    if report.assessed:
        has = amount(report.assessed, "score or annotation by people has its", "scores or annotations by people have their")
        lines.append(f"{has} answer in these files or in the log")
    if report.feedback:
        lines.append(f"{amount(report.feedback, 'piece of feedback is', 'pieces of feedback are')} new")
    lines += [f"not read: {name}, {amount(count, 'time')}" for name, count in report.left_out.most_common(20)]
    if len(report.left_out) > 20:
        lines.append(f"not read: {len(report.left_out) - 20} more names, which --json lists")
    return lines


class _Answers:
    """Answers by the names under which assessments know them; of several with one name the newest."""

    def __init__(self, traffic_log: TrafficLog, loop: str) -> None:
        self._log, self._loop = traffic_log, loop
        self._read: dict[str, tuple[float, str]] = {}  # of the rows of these files: when, and the id under which it is stored

    def add(self, row: imports.Row, stored_as: str) -> None:
        """Note a row, and the id under which it is stored."""
        for name in (row.exchange.id, *row.names):
            self._read[name] = max(self._read.get(name, (0.0, "")), (row.exchange.at, stored_as))

    def find(self, all_about: Sequence[Sequence[str]]) -> list[Exchange | None]:
        """For each the answer that the first known one of its names means; None if none is known."""
        meant = [[self._ids(name) for name in about] for about in all_about]
        ids = sorted({each for names in meant for known in names for each in known})
        known = {exchange.id: exchange for exchange in self._log.named(self._loop, ids)}
        return [self._newest(known, names) for names in meant]

    def _newest(self, known: Mapping[str, Exchange], names: Sequence[Sequence[str]]) -> Exchange | None:
        answers = next(filter(None, ([known[each] for each in ids if each in known] for ids in names)), [])
        return max(answers, key=lambda exchange: exchange.at, default=None)

    def _ids(self, name: str) -> list[str]:
        if name in self._read:
            return [self._read[name][1]]
        return self._stored.get(name, []) if name.startswith(("span:", "trace:")) else [name]

    @cached_property
    def _stored(self) -> dict[str, list[str]]:
        """Ids of earlier imports whose ids say trace and span, `TOOL:TRACE-SPAN`, by these."""
        found: dict[str, list[str]] = {}
        for name in self._log.derived(TRACED):
            trace, _, span = name.partition(":")[2].rpartition("-")
            for key in (f"trace:{trace}", f"span:{span}"):
                found.setdefault(key, []).append(name)
        return found


def import_traffic(
    traffic_log: TrafficLog, loop: LoopConfig, paths: Sequence[Path], format: str = AUTO, version: str | None = None, *, secret: str
) -> ImportReport:
    """Take logs of another system into the loop's traffic; doing it again changes nothing.

    The format `auto` is the one in which a file's rows carry the most. `version` is who answered, without it the model each row names.
    `secret` is the home's, for the hashes of users. Rows without a time get the file's modification time. Assessments in records of
    their own are joined when the rows of all files are stored, with these or with those of the log. Bad lines are in the report and
    nowhere else, and so are files that are damaged, or have no row and no feedback of people. Raises InvalidInput for an unknown format,
    and if all files are such files; OSError when a file cannot be read.
    """
    if format != AUTO:
        imports.reader(format)
    answers, refused = _Answers(traffic_log, loop.name), dict[Path, str]()
    report = ImportReport(format)
    waiting: list[imports.Assessed] = []
    groups = _groups(paths, format, refused)
    for name, members in groups:
        before, bad, said, left_out = report.read, len(report.quarantined), len(waiting), Counter[str]()
        for batch in _batches(members, name, loop, version, len(paths) > 1, refused):
            rows = [_known_by(each, secret) for each in batch if isinstance(each, imports.Row)]
            report.quarantined.extend(each for each in batch if isinstance(each, Quarantined))
            waiting.extend(each for each in batch if isinstance(each, imports.Assessed) and each.feedback)
            left_out.update(name for each in batch if not isinstance(each, Quarantined) for name in each.left_out)
            report = _stored(traffic_log, loop, rows, report, answers)
        if report.read == before and len(waiting) == said:
            refused = {path: _nothing(path, name, report.quarantined[bad:], left_out) for path in members} | refused
        report.left_out.update(left_out)
    report.refused.extend(refused[path] for path in paths if path in refused)
    report = _joined(traffic_log, waiting, answers, replace(report, format=", ".join(dict.fromkeys(name for name, _ in groups))))
    if len(report.refused) == len(paths):
        raise InvalidInput(" ".join(report.refused))
    if not report.read and not report.assessed:
        if not report.quarantined:
            raise InvalidInput(f"nothing is imported: {', '.join(map(str, paths))} has {_BARE} only")
        raise InvalidInput(
            f"nothing is imported: {', '.join(map(str, paths))} has feedback on answers, and none of the answers is in these files or "
            f"known to the traffic of {loop.name}: {_TOGETHER}. {' '.join([_refused(report.quarantined), *report.refused])}"
        )
    return report


def _groups(paths: Sequence[Path], format: str, refused: dict[Path, str]) -> list[tuple[str, list[Path]]]:
    """The files that are read as one log, with their format: those whose records may belong together, and each other one alone."""
    groups: dict[str | Path, tuple[str, list[Path]]] = {}
    for path in dict.fromkeys(paths):
        try:
            name = _format_of(path) if format == AUTO else format
        except InvalidInput as error:
            refused[path] = str(error)
        else:
            groups.setdefault(name if imports.joins(name) else path, (name, []))[1].append(path)
    return list(groups.values())


def _batches(
    paths: Sequence[Path], format: str, loop: LoopConfig, version: str | None, named: bool, refused: dict[Path, str]
) -> Iterator[list[imports.Row | imports.Assessed | Quarantined]]:
    """What is in the files, with places that name the file if `named`; what is damaged or empty gets its reason into `refused`."""
    call_field = loop.task.label if loop.task.type == "tool_call" else None
    items = (item for path in paths for item in _placed(path, format, f"{path.name}, " if named else "", refused))
    changed = max(path.stat().st_mtime for path in paths)
    found = imports.rows_of(items, format, loop.name, version, changed, time.time(), call_field)
    while batch := list(islice(found, _BATCH)):
        yield batch


def _placed(path: Path, format: str, within: str, refused: dict[Path, str]) -> imports.Items:
    empty = True
    try:
        for place, record in imports.placed(lines_of(path), format):
            empty = False
            yield within + place, replace(record, where=within + record.where) if isinstance(record, Quarantined) else record
    except InvalidInput as error:
        refused[path] = str(error)
    else:
        if empty:
            refused[path] = _nothing(path, format, (), Counter())


def _known_by(row: imports.Row, secret: str) -> imports.Row:
    """The row with its user hashed as the gateway does it: whoever uses both is one user."""
    return replace(row, exchange=replace(row.exchange, user=keyed_user(row.exchange.user, secret)))


def _stored(
    traffic_log: TrafficLog, loop: LoopConfig, rows: Sequence[imports.Row], before: ImportReport, answers: _Answers
) -> ImportReport:
    own = _with_own_ids(traffic_log, rows)
    judged = [replace(row, exchange=row.exchange.judged(loop.task.form, row.cut)) for row in own]
    stored = traffic_log.append([row.exchange for row in judged])
    for row, each in zip(rows, own, strict=True):
        answers.add(row, each.exchange.id)
    return replace(
        before,
        read=before.read + len(rows),
        stored=before.stored + stored,
        already=before.already + len(rows) - stored,
        renamed=before.renamed + sum(row.exchange.id != each.exchange.id for row, each in zip(own, rows, strict=True)),
        stopped=before.stopped + sum(row.cut and not row.exchange.well_formed for row in judged),
        feedback=before.feedback + _added(traffic_log, [(row.feedback, row.timed) for row in own if row.feedback]),
    )


def _joined(traffic_log: TrafficLog, waiting: Sequence[imports.Assessed], answers: _Answers, before: ImportReport) -> ImportReport:
    """The report with the assessments stored as feedback on their answers; those without an answer are quarantined."""
    assessed = added = 0
    judging, comments = [each for each in waiting if not each.comments_only], [each for each in waiting if each.comments_only]
    for page in (part[start : start + _BATCH] for part in (judging, comments) for start in range(0, len(part), _BATCH)):
        found = list(zip(page, answers.find([each.about for each in page]), strict=True))
        before.quarantined.extend(
            Quarantined(each.place, _NO_ANSWER.format(name=each.about[0]), each.about[0]) for each, answer in found if answer is None
        )
        judged = traffic_log.feedback_on(sorted({answer.id for each, answer in found if answer and each.comments_only}))
        known = [(each, answer, each.comments_only and answer.id not in judged) for each, answer in found if answer]
        before.left_out.update(_BARE for _, _, bare in known if bare)
        said = [(each.on(answer), True) for each, answer, bare in known if not bare]
        assessed, added = assessed + len(said), added + _added(traffic_log, said)
    return replace(before, assessed=assessed, feedback=before.feedback + added)


def _added(traffic_log: TrafficLog, said: Sequence[tuple[Feedback, bool]]) -> int:
    """How much of this feedback is new and is stored now; each with whether its time is known.

    Feedback that the log has is left alone. What a file without times says got the time of the file, so there the texts decide.
    """
    known = traffic_log.feedback_events(sorted({feedback.request_id for feedback, _ in said}))
    added = 0
    for feedback, timed in said:
        events = known.setdefault(feedback.request_id, [])
        if feedback in events or (not timed and events and replace(added_up(events)[feedback.request_id], at=feedback.at) == feedback):
            continue
        with suppress(UnknownAnswer):  # it was forgotten
            added += traffic_log.add_feedback(feedback)  # another import of the same file may store it meanwhile
            events.append(feedback)
    return added


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


def _nothing(path: Path, format: str, bad: Sequence[Quarantined], left_out: Counter[str]) -> str:
    """Why a file gave no row, and what to do."""
    if left_out and not bad:
        names = ", ".join(f"{name} ({count:,})" for name, count in left_out.most_common(5))
        return f"{path} has no row and no feedback that a person gave: it has {names}"
    found = guess_of(path)
    if not bad:
        return f"{path} has no record" + (f": it is probably {found.words}" if found else "")
    fits = [name for name in imports.fitting(lines_of(path)) if name != format]
    if fits:
        advice = f"it has rows in another format: --format {fits[0]}"
    else:
        advice = f"it is probably {found.words}" if found else "no other format fits either"
        advice += f" (--format {found.format})" if found and found.format not in (None, format) else ""
    return f"{path} has no row in the format {format}, {advice}. {_refused(bad)}"


def _refused(bad: Sequence[Quarantined]) -> str:
    return f"Refused records: {len(bad):,}, the first at {bad[0].where}: {bad[0].reason}"


def guess_of(path: Path) -> Guess | None:
    """What a file probably is. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(4096)
    try:
        return guess(head, lines_of(path))
    except InvalidInput:  # a damaged file, which is told where it is read
        return None
