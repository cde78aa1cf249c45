"""What curation, evaluation and labels make of the rows that people wrote."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.curation import Curated, SizeVerdict, curate
from ftassets.domain.dataset.curation.contamination import drop_contaminated
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.curation.text import answer_key, request_digest
from ftassets.domain.dataset.rows import Example
from ftassets.domain.dataset.written import SEED, Written, refusals
from ftassets.domain.evaluation.answer_form import NO_LABEL, AnswerForm
from ftassets.domain.evaluation.conversations import distinct, linked, near_copies
from ftassets.domain.evaluation.scored_turns import conversation_of, last_answers
from ftassets.domain.gates.planning import RowCounts
from ftassets.domain.gates.report import HELD_OUT
from ftassets.domain.loop_check.finding import LOOP, LoopFinding
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

_ADVICE = {
    "no_rows": "write one example a line",
    "same_id": "give each row an id of its own, or leave `id` out",
    "same_row": "remove one: a row that counts twice distorts what the gates measure",
    "wrong_form": "write the answer in the form that task.type asks for, or change task.type",
    "id_taken": "ids are unique over the golden set and all sets: begin them with the name of the set",
    "slice_taken": "rename the slice in the rows, and in the gates that name it",
}
_LEFT_OUT = "the row is not trained on: change it, or leave it"
_DROPPED = {  # by the curation step that dropped the row
    "schema": "the row is not trained on: write the answer in the form that task.type asks for",
    "pii": "the row is not trained on: write the text without personal data, or set dataset.pii to redact",
    "language": "the row is not trained on: add its language to dataset.languages, or leave it",
    "length": "the row is not trained on: see dataset.min_chars and max_chars",
    "exact": "only one of them is trained on: remove the other",
    "near": "only one of them is trained on: leave it, or add `near` to dataset.skip if your rows are alike by design",
    "conflicts": "no model can get all of them right: keep the right one",
    "contamination": "the row is not trained on: ask something else in the seed, or the model would know the answers of the test",
}


def refused_rows(loop: "LoopConfig", files: Sequence[Written]) -> Iterator[LoopFinding]:
    """Lines that are no example, and what the assets refuse. `files` in the order of the assets: seed, golden, further sets."""
    taken: set[str] = set()
    for of in files:
        for item in of.rejected:
            number = int(item.where.rpartition(":")[2])
            yield LoopFinding("warning", "not_an_example", of.source, item.reason, "the line is left out: correct it, or remove it", number)
        for item in of.copies:
            number = int(item.where.rpartition(":")[2])
            yield LoopFinding("warning", "copy", of.source, item.reason, "remove the copy", number)
        for refusal in refusals(loop, of, taken):
            yield LoopFinding("error", refusal.kind, of.source, refusal.text, _ADVICE[refusal.kind], refusal.line)
        taken |= {row.id for row in of.rows} if of.source != SEED else set()


def curated_rows(
    loop: "LoopConfig", seed: Written, tested: Sequence[Example], control_tokens: ControlTokens | None = None
) -> tuple[Curated | None, list[LoopFinding]]:
    """The seed's rows as curation leaves them, without vectors, and a finding for each row that it drops.

    `tested` are the rows of golden set and further sets. None without rows.
    """
    if not seed.rows:
        return None, []
    curated = curate(seed.rows, None, tested, None, {}, loop, rejected=seed.rejected, control_tokens=control_tokens)
    contradicted = {line for line, _ in _contradictions(seed, loop.task.form)}
    found = []
    for item, place in zip(curated.dropped[len(seed.rejected) :], curated.dropped_at, strict=True):
        step, line = item.where.partition(":")[0], seed.lines[place]
        if step == "conflicts" and line in contradicted:
            continue  # told with both answers' lines
        found.append(LoopFinding("warning", step, seed.source, item.reason, _DROPPED.get(step, _LEFT_OUT), line))
    if "contamination" in loop.dataset.skip:
        pool = Pool(list(seed.rows), list(range(len(seed.rows))), golden=tested)
        for place, reason in drop_contaminated(pool, loop).dropped.items():
            advice = "the row is trained on, since dataset.skip has contamination: the gates measure what was learnt by heart"
            found.append(LoopFinding("warning", "contamination", seed.source, reason, advice, seed.lines[place]))
    return curated, found


def size(loop: "LoopConfig", curated: Curated | None) -> Iterator[LoopFinding]:
    """Whether the rows that are left are as many as the goal needs."""
    if curated is None or curated.preflight.verdict is SizeVerdict.OK:
        return
    refused = curated.preflight.verdict is SizeVerdict.REFUSED
    field = ("dataset", "goal" if loop.dataset.min_rows is None else "min_rows")
    advice = "nothing is trained before that: add rows; corrections by users and labelled rows count too" if refused else "add rows"
    yield LoopFinding("error" if refused else "warning", "too_few_rows", LOOP, curated.preflight.sentence, advice, field=field)


def splits(loop: "LoopConfig", curated: Curated | None) -> Iterator[LoopFinding]:
    """Whether the groups of the rows leave any for validation and test."""
    if curated is None or not curated.rows or not (empty := curated.empty_splits(loop)):
        return
    text = f"no row in {' and '.join(empty)}: " + ", ".join(f"{name} {len(members)}" for name, members in curated.splits.items())
    advice = "rows of one `group`, and rows that are alike, stay in one split: give rows that differ another group, or add rows"
    yield LoopFinding("warning", "empty_split", LOOP, text, advice, field=("dataset", "seed"))


def row_counts(loop: "LoopConfig", golden: Written, sets: Sequence[Written], curated: Curated | None) -> RowCounts:
    """Independent rows that a report on these files would have, so one of each conversation.

    Held-out ones are those of the seed's split, where it was curated.
    """
    form = loop.task.form
    rows = last_answers(linked(distinct(golden.rows, form)))
    slices = Counter(row.slice or "golden" for row in rows)
    held_out = {HELD_OUT: len(curated.splits["test"])} if curated else {}
    further = {each.source: len(each.rows) for each in sets}
    if "classes" in form.lacks:
        return RowCounts({**slices, **held_out}, further)
    classes = {HELD_OUT: Counter(form.label(row.completion) for row in curated.splits["test"])} if curated else {}
    for row in rows:
        classes.setdefault(row.slice or "golden", Counter())[form.label(row.completion)] += 1
    labels = {form.label(answer) for answer in loop.task.labels or [row.completion for row in golden.rows]} - {NO_LABEL}
    return RowCounts({**slices, **held_out}, further, classes, sorted(labels))


def repeated(loop: "LoopConfig", files: Sequence[Written]) -> Iterator[LoopFinding]:
    """Rows of one file that contradict each other, and rows of a test set that ask the same twice."""
    for of in files:
        for line, other in _contradictions(of, loop.task.form):
            text = f"the request of line {other} with another answer"
            yield LoopFinding("warning", "contradiction", of.source, text, "no model can get both right: keep the right one", line)
        if of.source == SEED:
            continue  # curation's step exact tells these
        for line, other in _same_request(of, loop.task.form, lambda one, other: one == other):
            advice = "they count as one in the gates: remove one"
            yield LoopFinding("warning", "duplicate", of.source, f"request and answer of line {other}", advice, line)
        line_of = {row.id: line for row, line in zip(of.rows, of.lines, strict=True)}
        rows = linked(distinct(of.rows, loop.task.form))
        together = [(conversation, line_of[row.id]) for row in rows if (conversation := conversation_of(row))]
        if together:
            text = (
                f"{amount(len(together), 'row is', 'rows are')} of {amount(len(dict(together)), 'conversation')}, "
                "since they ask the same or one begins with the other"
            )
            advice = "gates count each conversation once, because its rows are right or wrong together: add others if they lack rows"
            yield LoopFinding("warning", "conversation", of.source, text, advice, together[0][1])
        if near := near_copies(rows, loop):
            first = min(near, key=line_of.__getitem__)
            text = f"{amount(len(near), 'row is a near copy', 'rows are near copies')} of others; the first: {near[first]}"
            advice = (
                "gates count each by itself, and their verdicts hold for rows that are right or wrong by themselves: leave out those that "
                "are not, or give them one conversation_id"
            )
            yield LoopFinding("warning", "near_copy", of.source, text, advice, line_of[first])


def _contradictions(of: Written, form: AnswerForm) -> Iterator[tuple[int, int]]:
    """Line of each row whose request is that of an earlier row with another answer, and the line of the first such row."""
    return _same_request(of, form, lambda one, other: one != other)


def _same_request(of: Written, form: AnswerForm, wanted: Callable[[str, str], bool]) -> Iterator[tuple[int, int]]:
    seen: dict[bytes, tuple[int, str]] = {}
    for row, line in zip(of.rows, of.lines, strict=True):
        answer = answer_key(row.completion, form)
        first, first_answer = seen.setdefault(request_digest(row), (line, answer))
        if first != line and wanted(answer, first_answer):
            yield line, first


def labels(loop: "LoopConfig", seed: Written, golden: Written) -> Iterator[LoopFinding]:
    """Classes that only one of seed and golden set has, declared labels that one of them lacks, and answers without a class."""
    form = loop.task.form
    if "classes" in form.lacks:
        return
    found = {of.source: _first_lines(of, form) for of in (seed, golden) if of.rows}
    for of in (seed, golden):
        for row, line in zip(of.rows, of.lines, strict=True):
            if form.label(row.completion) == NO_LABEL and form.fault(row.completion) is None:
                text = f"the answer belongs to no class: it is not {form.with_class}"
                yield LoopFinding("warning", "no_label", of.source, text, "add the field, or name another one in task.label", line)
    for of in (seed, golden):
        if missing := [repr(label) for label in loop.task.labels or () if of.rows and label not in found[of.source]]:
            text = f"no row of {of.source} has the label {', '.join(missing)}"
            advice = "add rows of each label, or take it out of task.labels"
            yield LoopFinding("warning", "label_without_rows", LOOP, text, advice, field=("task", "labels"))
    if loop.task.labels:
        return  # any other label is refused in the golden set and dropped from the seed
    if len(found) < 2:
        return
    for of, other, text, advice in (
        (golden, seed, "no row of the seed has the label {}", "no model is taught it before users correct answers: add rows to the seed"),
        (seed, golden, "no golden row has the label {}", "nothing measures what is learnt of it: add golden rows"),
    ):
        for label, (line, count) in found[of.source].items():
            if label not in found[other.source] and label != NO_LABEL:
                rows = f" ({amount(count, 'row')})" if count > 1 else ""
                yield LoopFinding("warning", "unknown_label", of.source, text.format(repr(label)) + rows, advice, line)


def _first_lines(of: Written, form: AnswerForm) -> Mapping[str, tuple[int, int]]:
    """Line of the first row of each class, and the number of its rows."""
    names = [form.label(row.completion) for row in of.rows]
    counts = Counter(names)
    return {name: (line, counts[name]) for name, line in reversed(list(zip(names, of.lines, strict=True)))}
