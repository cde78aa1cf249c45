"""Files of examples that people wrote: which of them no loop can use, for the assets that commit them and for `ftassets check`."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from ftassets.config.loop import EvaluationSet, LoopConfig
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import identity
from ftassets.domain.dataset.rows import Example, Quarantined, lines_of_text, numbered_jsonl, shown
from ftassets.domain.evaluation.scored_turns import scored_turns
from ftassets.domain.evaluation.sets import answer_fits
from ftassets.domain.gates.report import HELD_OUT

SEED, GOLDEN = "seed", "golden"
FORM = '{"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}'


@dataclass(frozen=True)
class Written:
    """Rows of one file, and the number of the line of each; `source` is seed, golden or the name of a further set.

    `copies` are rows of the seed that an earlier line has too, under the same id; they are not among `rows`. `unread` counts rows by
    fields that nothing reads.
    """

    source: str
    rows: list[Example]
    lines: list[int]
    rejected: list[Quarantined]
    copies: list[Quarantined] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be used, and the line that is to be changed; no line where it is the whole file."""

    kind: str
    line: int | None
    text: str


def written(text: str, source: str) -> Written:
    """The rows of a JSONL text, and its lines that are no example.

    Raises DamagedArray unless it is a seed: curation says what it drops, but of the rows that decide a promotion none may be missing.
    """
    rows: list[Example] = []
    numbers: list[int] = []
    rejected: list[Quarantined] = []
    copies: list[Quarantined] = []
    first: dict[tuple[str, str], int] = {}
    unread: Counter[str] = Counter()
    items = numbered_jsonl(lines_of_text(text), source, whole=source != SEED, unread=unread)
    for number, item in with_own_ids(items) if source == SEED else items:
        if isinstance(item, Quarantined):
            rejected.append(item)
            continue
        if source == SEED and (line := first.setdefault((item.id, _content(item)), number)) != number:
            copies.append(Quarantined(f"{source}:{number}", f"is the same as line {line}; curation keeps one", shown(item.completion)))
            continue
        rows.append(item)
        numbers.append(number)
    return Written(source, rows, numbers, rejected, copies, unread)


def with_own_ids(numbered: Iterable[tuple[int, Example | Quarantined]]) -> Iterator[tuple[int, Example | Quarantined]]:
    """The items of a seed, where a row with the id of an earlier one that says something else is quarantined: an id names one row."""
    first: dict[str, tuple[int, Example]] = {}
    for number, item in numbered:
        if isinstance(item, Example):
            line, other = first.setdefault(item.id, (number, item))
            if other is not item and (identity(other), other.completion) != (identity(item), item.completion):
                reason = f"the id {item.id} is that of line {line} too, which is another row: give each row an id of its own"
                item = Quarantined(f"{SEED}:{number}", reason, shown(item.prompt))
        yield number, item


def refusals(loop: LoopConfig, of: Written, taken: Collection[str] = ()) -> list[Refusal]:
    """Why the loop cannot use a file, line by line. `taken` are the ids of the golden set and of the sets before this one."""
    found: list[Refusal] = []
    if not of.rows:
        found.append(Refusal("no_rows", None, f"no usable line of {len(of.rejected)}: each line is {FORM}"))
    found += _same_ids(of)
    if of.source == SEED:  # of which curation drops rows, and says why
        return found
    numbered = list(zip(of.rows, of.lines, strict=True))
    settings = next((each for each in loop.sets if each.name == of.source), None)
    for row, line in numbered:
        scored = scored_turns(row) if of.source == GOLDEN and loop.golden_turns == "every" else [row]
        for turn in scored:
            if not _scorable(loop, settings, turn):
                found.append(Refusal("wrong_form", line, f"the expected answer of {turn.id} is not {_needed(loop, settings)}"))
    if settings is not None:
        text = "the golden set or another set has the same id: {}"
        return found + [Refusal("id_taken", line, text.format(row.id)) for row, line in numbered if row.id in taken]
    others = {HELD_OUT, *(each.name for each in loop.sets)}
    text = "slice {} is the name of another set of rows: call the slice something else"
    return found + [Refusal("slice_taken", line, text.format(row.slice)) for row, line in numbered if row.slice in others]


def _same_ids(of: Written) -> Iterator[Refusal]:
    """Different rows of one id, each with the other's line, and rows that are there twice."""
    first: dict[str, tuple[int, str]] = {}
    for row, line in zip(of.rows, of.lines, strict=True):
        other, content = first.setdefault(row.id, (line, _content(row)))
        if other == line:
            continue
        if content == _content(row):
            yield Refusal("same_row", line, f"is the same as line {other}")
        else:
            yield Refusal("same_id", line, f"the id {row.id} is that of line {other} too, which is another row")


def _content(row: Example) -> str:
    """Request and answer of a row, the same for rows that ask and answer the same."""
    return digest_of([identity(row), row.completion])


def _scorable(loop: LoopConfig, settings: EvaluationSet | None, row: Example) -> bool:
    form = loop.task.form
    return answer_fits(settings, row, form) if settings else form.fault(row.completion) is None


def _needed(loop: LoopConfig, settings: EvaluationSet | None) -> str:
    return "refuse or comply" if settings and settings.scoring == "refusal" else loop.task.form.needed
