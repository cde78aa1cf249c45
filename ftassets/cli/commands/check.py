"""All that is wrong with loop files and their rows, each finding with file and line, before anything runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_file_check import ATTRIBUTES, check_document
from ftassets.config.loop_files import COMPONENTS, UnknownLoop, loop_paths, misspelt, nodes
from ftassets.config.loops_folder import NoLoops
from ftassets.config.row_files import RowsUnreadable, read_rows
from ftassets.config.version_engine import without_room
from ftassets.config.yaml_lines import line_of, lines_of
from ftassets.domain.dataset.written import GOLDEN, SEED, Written
from ftassets.domain.evaluation.llm_judge import FEWEST_PAIRS, parse_labels
from ftassets.domain.loop_check import blind, gates, rows, training, without_effect
from ftassets.domain.loop_check.finding import LOOP, LoopFinding, Severity
from ftassets.errors import ConfigurationError
from ftassets.wording import amount
from ftassets.workers.training.token_counts import NotCounted, answer_token_counts, base_control_tokens, token_counts

SHOWN = 3  # findings of one kind in one file that are listed
LONG_TOKEN = 16  # characters that hardly any token exceeds
JUDGE = "llm_judge.labels"  # source of the pairs that people judged


@dataclass(frozen=True)
class Found:
    """One finding in its file."""

    severity: Severity
    kind: str
    file: str
    line: int | None
    field: str | None
    text: str
    advice: str


@dataclass
class LoopReport:
    """What was found in one loop: `checked` are rows by file, `not_checked` lists checks that were left out, with the reason."""

    loop: str
    file: str
    findings: list[Found] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    not_checked: list[str] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Number of findings that stop a run or a gate."""
        return sum(found.severity == "error" for found in self.findings)


def check(folder: Path, name: str | None = None) -> list[LoopReport]:
    """A report on each loop below a folder, or on the loop of that name and the files that cannot be read.

    Raises UnknownLoop, NoLoops when no file is a loop, ConfigurationError when the folder cannot be read.
    """
    reports: list[LoopReport] = []
    names: dict[str, Path] = {}
    others = []
    configs: dict[str, LoopConfig] = {}
    lines = {}
    for path in loop_paths(folder):
        try:
            documents = list(nodes(path))
        except ConfigurationError as error:
            reports.append(_broken(path, "not_yaml", _line(error), str(error)))
            continue
        if not any(document for _, document in documents):
            reports.append(_broken(path, "empty", None, "the file is empty"))
        for node, document in documents:
            if not isinstance(document, dict) or document.get("type") not in COMPONENTS:
                if meant := misspelt(document):
                    line = line_of(lines_of(node), ("type",))
                    reports.append(_broken(path, "not_a_loop", line, meant))
                continue
            attributes = document.get(ATTRIBUTES)
            own = str(attributes.get("name", path.parent.name)) if isinstance(attributes, dict) else path.parent.name
            loop, findings = check_document(node, document, path.parent)
            configs |= {own: loop} if loop else {}
            if name is not None and own != name:
                others.append(own)
                continue
            report = _report(own, path, node, loop, findings)
            lines[own] = lines_of(node)
            if own in names:
                line = line_of(lines_of(node), (ATTRIBUTES, "name"))
                text, advice = f"there is another loop {own}, in {names[own]}", "give one of them another name"
                report.findings.insert(0, Found("error", "same_name", str(path), line, "name", text, advice))
            names[own] = path
            reports.append(report)
    if name is not None and name not in names and not reports:
        raise UnknownLoop(f"there is no loop {name!r} below {folder}; there is: {', '.join(others) or 'none'}")
    if not reports:
        raise NoLoops(f"nothing was checked: no file below {folder} is a loop; a loop has `type: {COMPONENTS[0]}` and `attributes:`")
    for own, why in without_room(configs).items():
        for report in (each for each in reports if each.loop == own):
            place = (ATTRIBUTES, "serving", "vllm", "max_loras")
            advice = "docs/serving.md says what shares a server"
            report.findings.append(
                Found("error", "no_room", report.file, line_of(lines[own], place), "serving.vllm.max_loras", why, advice)
            )
    return reports


def read_files(loop: LoopConfig) -> list[Written]:
    """Rows of seed, golden set and further sets, in this order. Raises RowsUnreadable."""
    paths = {SEED: loop.dataset.seed, GOLDEN: loop.golden_set, **{each.name: each.file for each in loop.sets}}
    return [read_rows(path, source) for source, path in paths.items()]


def as_json(reports: Sequence[LoopReport]) -> dict[str, Any]:
    """The reports as plain JSON."""
    loops = [{**vars(report), "findings": [vars(found) for found in report.findings], "errors": report.errors} for report in reports]
    return {"ok": not any(report.errors for report in reports), "loops": loops}


def describe(report: LoopReport) -> str:
    """A report as lines for a terminal: findings of one kind in one file together, the first of them with their lines."""
    warnings = len(report.findings) - report.errors
    rows_read = ", ".join(f"{count:,} {source}" for source, count in report.checked.items())
    lines = [
        f"{report.loop}: {amount(report.errors, 'error')}, {amount(warnings, 'warning')}"
        + (f" (rows read: {rows_read})" if rows_read else "")
    ]
    groups: dict[tuple[str, str, str, str], list[Found]] = {}
    for found in sorted(report.findings, key=lambda found: (found.severity, found.file, found.line or 0)):  # errors first
        groups.setdefault((found.severity, found.file, found.kind, found.advice), []).append(found)
    for (severity, _, _, advice), members in groups.items():
        lines.append("")
        for found in members[:SHOWN]:
            lines.append(f"{severity:<7}  {_place(found)}: {found.text}")
        if len(members) > SHOWN:
            more = [str(found.line) for found in members[SHOWN:] if found.line]
            where = f", lines {', '.join(more[:10])}{' ...' if len(more) > 10 else ''}" if more else ""
            lines.append(f"         and {len(members) - SHOWN:,} more{where}")
        lines.append(f"         -> {advice}")
    lines += ["", *(f"not checked: {text}" for text in report.not_checked)] if report.not_checked else []
    return "\n".join(lines)


def _broken(path: Path, kind: str, line: int | None, text: str) -> LoopReport:
    advice = "correct the file, or delete it: `ftassets up` does not start before, and no command knows its loop"
    return LoopReport(path.parent.name, str(path), [Found("error", kind, str(path), line, None, text, advice)])


def _report(name: str, path: Path, node: yaml.Node, loop: LoopConfig | None, findings: list[LoopFinding]) -> LoopReport:
    report = LoopReport(name, str(path))
    if loop is not None:
        findings += _data(loop, report)
    lines = lines_of(node)
    files = _files(loop) if loop else {}
    for found in findings:
        line: int | None
        if found.source == LOOP:
            place = found.field if found.field[:1] == (ATTRIBUTES,) else (ATTRIBUTES, *found.field)
            file, line = str(path), line_of(lines, place)
        else:
            file, line = str(files[found.source]), found.line
        dotted = ".".join(str(part) for part in found.field if part != ATTRIBUTES) or None
        report.findings.append(Found(found.severity, found.kind, file, line, dotted, found.text, found.advice))
    return report


def _files(loop: LoopConfig) -> dict[str, Path]:
    sets = {each.name: each.file for each in loop.sets}
    judge = {JUDGE: loop.llm_judge.labels} if loop.llm_judge else {}
    return {SEED: loop.dataset.seed, GOLDEN: loop.golden_set, **sets, **judge}


def _data(loop: LoopConfig, report: LoopReport) -> list[LoopFinding]:
    """Findings on the rows, and on the gates that need them. Missing files have findings of their own."""
    found: list[LoopFinding] = []
    files: dict[str, Written] = {}
    for source, path in _files(loop).items():
        if source == JUDGE or not path.is_file():
            continue
        try:
            files[source] = read_rows(path, source)
        except RowsUnreadable as error:
            found.append(LoopFinding("error", "unreadable", source, str(error), "save the file as UTF-8 text", error.line))
    report.checked = {source: len(of.rows) for source, of in files.items()}
    read = list(files.values())
    seed, golden = files.get(SEED, Written(SEED, [], [], [])), files.get(GOLDEN, Written(GOLDEN, [], [], []))
    further = [of for source, of in files.items() if source not in (SEED, GOLDEN)]
    control_tokens = base_control_tokens(loop.base_model, Home.from_env().cache)
    curated, dropped = rows.curated_rows(loop, seed, [row for of in (golden, *further) for row in of.rows], control_tokens)
    found += rows.refused_rows(loop, read)
    found += dropped
    found += rows.repeated(loop, read)
    found += rows.labels(loop, seed, golden)
    found += rows.size(loop, curated)
    found += rows.splits(loop, curated)
    found += training.unusual(loop)
    found += training.unusual_alignment(loop, None if curated is None else len(curated.splits["validation"]))
    if curated is not None:
        found += training.impossible(loop, len(curated.splits["validation"]))
    if GOLDEN in files:
        found += gates.gate_rows(loop, rows.row_counts(loop, golden, further, curated))
    found += gates.floor(loop)
    found += gates.scales(loop)
    found += without_effect.without_effect(loop)
    found += blind.blind(loop, len(golden.rows))
    found += _judge(loop)
    found += _answer_lengths(loop, golden)
    found += _lengths(loop, [of for of in read if of.source == SEED or of.source == GOLDEN], report)
    report.not_checked.append("requests that mean the same in other words: the run compares their embeddings")
    return found


def _lengths(loop: LoopConfig, files: Sequence[Written], report: LoopReport) -> Iterator[LoopFinding]:
    """Rows whose prompt and answer have more tokens than training takes, or whose form the chat template refuses."""
    try:
        for of in files:
            for line, count in zip(of.lines, token_counts(loop, of.rows, Home.from_env().cache), strict=True):
                if isinstance(count, str):
                    yield LoopFinding("warning", "template", of.source, count, "the row cannot be asked: change it, or remove it", line)
                elif count > loop.train.max_length:
                    text = f"{amount(count, 'token')} of prompt and answer, train.max_length is {loop.train.max_length:,}"
                    advice = "training leaves such a row out: shorten it, or raise train.max_length"
                    yield LoopFinding("warning", "too_many_tokens", of.source, text, advice, line)
    except NotCounted as error:
        report.not_checked.append(f"tokens of the rows against train.max_length: {error}")


def _answer_lengths(loop: LoopConfig, golden: Written) -> Iterator[LoopFinding]:
    """A warning if the longest golden answer has more tokens than a model may write."""
    if not golden.rows:
        return
    try:
        counts, unit = answer_token_counts(loop, golden.rows, Home.from_env().cache), "tokens"
    except NotCounted:
        counts, unit = [len(row.completion) // LONG_TOKEN for row in golden.rows], "tokens or more, by its characters"
    longest = max(counts)
    if longest > loop.task.max_tokens:
        text = f"the longest golden answer has {longest:,} {unit}, task.max_tokens is {loop.task.max_tokens:,}"
        line = golden.lines[counts.index(longest)]
        advice = f"an answer that is cut off counts as wrong: raise it, or shorten line {line} of the golden set"
        yield LoopFinding("warning", "short_answers", LOOP, text, advice, field=("task", "max_tokens"))


def _judge(loop: LoopConfig) -> Iterator[LoopFinding]:
    """The pairs by which an LLM judge is held against people."""
    if loop.llm_judge is None or not loop.llm_judge.labels.is_file():
        return
    try:
        pairs, bad = parse_labels(loop.llm_judge.labels.read_text(encoding="utf-8"), JUDGE)
    except (OSError, ValueError) as error:
        yield LoopFinding("error", "unreadable", JUDGE, f"the file cannot be read: {error}", "save the file as UTF-8 text")
        return
    for item in bad:
        number = int(item.where.rpartition(":")[2])
        yield LoopFinding("warning", "not_a_pair", JUDGE, item.reason, "the line is left out: correct it, or remove it", number)
    if len(pairs) < FEWEST_PAIRS:
        text = f"{amount(len(pairs), 'pair')} that people judged; below {FEWEST_PAIRS} the judge's agreement with people is not known"
        yield LoopFinding("error", "too_few_pairs", JUDGE, text, "its gate can never pass: have people judge more pairs")


def _line(error: BaseException) -> int | None:
    """Line of a YAML error below another one."""
    mark = getattr(error.__context__, "problem_mark", None)
    return mark.line + 1 if mark else None


def _place(found: Found) -> str:
    file = Path(found.file)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"{shown}:{found.line}" if found.line else str(shown)
