"""Files of examples that people wrote: which of them no loop can use, for the assets that commit them and for `ftassets check`."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO

from ftassets.config.loop import EvaluationSet, LoopConfig
from ftassets.domain.dataset.rows import Example, Quarantined, numbered_jsonl
from ftassets.domain.evaluation.sets import answer_fits
from ftassets.domain.gates.report import HELD_OUT

SEED, GOLDEN = "seed", "golden"
FORM = '{"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}'
_NAMED = 5  # ids that a refusal names


@dataclass(frozen=True)
class Written:
    """Rows of one file, and the number of the line of each; `source` is seed, golden or the name of a further set."""

    source: str
    rows: list[Example]
    lines: list[int]
    rejected: list[Quarantined]


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be used, and the lines that are to be changed; no line where it is the whole file."""

    kind: str
    lines: tuple[int, ...]
    text: str


def written(text: str, source: str) -> Written:
    """The rows of a JSONL text, and its lines that are no example."""
    rows: list[Example] = []
    numbers: list[int] = []
    rejected: list[Quarantined] = []
    # bytes: text has other ends of lines too, such as U+2028, which a JSON string may hold as they are
    for number, item in numbered_jsonl(BytesIO(text.encode(errors="surrogatepass")), source):
        if isinstance(item, Example):
            rows.append(item)
            numbers.append(number)
        else:
            rejected.append(item)
    return Written(source, rows, numbers, rejected)


def refusals(loop: LoopConfig, of: Written, taken: Collection[str] = ()) -> list[Refusal]:
    """Why the loop cannot use a file. `taken` are the ids of the golden set and of the sets before this one."""
    found: list[Refusal] = []

    def refuse(kind: str, wrong: Sequence[bool], text: str) -> None:
        lines = tuple(line for line, is_wrong in zip(of.lines, wrong, strict=True) if is_wrong)
        names = list(dict.fromkeys(row.id for row, is_wrong in zip(of.rows, wrong, strict=True) if is_wrong))
        if lines:
            found.append(Refusal(kind, lines, text.replace("{ids}", ", ".join(names[:_NAMED]))))

    if not of.rows:
        found.append(Refusal("no_rows", (), f"no usable line of {len(of.rejected)}: each line is {FORM}"))
    ids = Counter(row.id for row in of.rows)
    refuse("same_id", [ids[row.id] > 1 for row in of.rows], "the same id on several lines: {ids}")
    if of.source == SEED:  # of which curation drops rows, and says why
        return found
    settings = next((each for each in loop.sets if each.name == of.source), None)
    unfit = [not _scorable(loop, settings, row) for row in of.rows]
    refuse("wrong_form", unfit, f"the expected answer of {{ids}} is not {_needed(loop, settings)}")
    if settings is not None:
        refuse("id_taken", [row.id in taken for row in of.rows], "the golden set or another set has the same ids: {ids}")
        return found
    others = {HELD_OUT, *(each.name for each in loop.sets)}
    for name in sorted({row.slice for row in of.rows if row.slice in others}):
        text = f"slice {name} is the name of another set of rows: call the slice something else"
        refuse("slice_taken", [row.slice == name for row in of.rows], text)
    return found


def _scorable(loop: LoopConfig, settings: EvaluationSet | None, row: Example) -> bool:
    form = loop.task.form
    return answer_fits(settings, row, form) if settings else form.fault(row.completion) is None


def _needed(loop: LoopConfig, settings: EvaluationSet | None) -> str:
    return "refuse or comply" if settings and settings.scoring == "refusal" else loop.task.form.needed
