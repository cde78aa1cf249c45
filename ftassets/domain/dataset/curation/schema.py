"""Answers must have the form the task's type asks for: a JSON object, a text, or a known label."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

_PEOPLE = 3  # users who have to write a label before it is shown by name
_SHOWN = 10  # unknown labels that are counted by name
_MARK = "\ufeff"
_TRUSTED = ("seed", "label")  # sources whose labels are known ones unless the loop file lists them


def check_answers(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows whose answer has not the task's form: no JSON object, text of white space only, a label that is not known.

    Known labels are those of `task.labels`, else of the seed, the golden set and labelling batches. A label that differs from a known
    one only in case or white space is changed to it. A byte order mark around an answer is left out, because readers of JSON refuse it.
    """
    trusted = [pool.rows[i] for i in pool.index if pool.rows[i].source in _TRUSTED]
    form = loop.task.form.knowing(row.completion for row in [*trusted, *(row for row in pool.golden if row.source == "golden")])
    dropped: dict[int, str] = {}
    changed: dict[int, Example] = {}
    unknown: dict[str, list[str | None]] = {}
    respelled = 0
    good: set[str] = set()  # answers repeat more than requests do
    for i in pool.index:
        answer = pool.rows[i].completion
        if answer in good:
            continue
        spelled = form.spelled(answer.strip(_MARK))
        if (fault := form.row_fault(spelled)) is not None:
            dropped[i] = f"the answer {fault}"
            if (label := form.unknown_label(spelled)) is not None:
                unknown.setdefault(label, []).append(pool.rows[i].user)
        elif spelled != answer:
            respelled += spelled != answer.strip(_MARK)
            changed[i] = pool.rows[i].model_copy(update={"completion": spelled})
        else:
            good.add(answer)
    counts = {"labels spelled as the known one": respelled, "answers without a byte order mark": len(changed) - respelled}
    return StepOutcome(dropped, changed, {**_counted(unknown), **{name: count for name, count in counts.items() if count}})


def _counted(unknown: Mapping[str, Sequence[str | None]]) -> dict[str, int]:
    """Rows by unknown label, given who wrote it: counts end in the event log, which keeps all, so labels of few users are not named."""
    counts: Counter[str] = Counter()
    for label, users in unknown.items():
        named = None in users or len(set(users)) >= _PEOPLE
        counts[f"unknown label {label!r}" if named else f"unknown labels of fewer than {_PEOPLE} users"] += len(users)
    return dict(counts.most_common(_SHOWN))
