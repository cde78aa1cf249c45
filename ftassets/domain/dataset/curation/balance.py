"""How many rows of each class training may use."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def weigh_classes(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Count classes and length quartiles; the result is the share of each class's rows that training may use. Nothing is dropped."""
    form = loop.task.form
    answers = Counter(pool.rows[i].completion for i in pool.index)  # they repeat: each is parsed once
    none = form.no_classes(answers)
    labels: Counter[str] = Counter()
    for answer, rows in () if none else answers.items():
        labels[form.label(answer)] += rows
    counts = {f"class {label}": count for label, count in labels.most_common()}
    if pool.index:
        lengths = [len(pool.rows[i].prompt) + len(pool.rows[i].completion) for i in pool.index]
        quartiles = np.quantile(lengths, [0.25, 0.5, 0.75])
        counts |= {f"characters at {share}": int(value) for share, value in zip(("25 %", "50 %", "75 %"), quartiles, strict=True)}
    if none:
        return StepOutcome(counts=counts, skipped=none, result={})
    if loop.dataset.max_class_share is None:
        return StepOutcome(counts=counts, result={})
    shares = class_shares(labels, loop.dataset.max_class_share)
    if shares is None:
        return StepOutcome(
            counts=counts,
            skipped=f"{amount(len(labels), 'class', 'classes')} cannot each hold at most {loop.dataset.max_class_share:.0%} of the rows",
            result={},
        )
    used = sum(round(shares.get(label, 1.0) * count) for label, count in labels.items())
    return StepOutcome(counts={**counts, "rows training may use": used}, result=shares)


def class_shares(rows: Mapping[str, int], limit: float) -> dict[str, float] | None:
    """Share of each class to keep so that none holds more than `limit` of what is kept: {} when none does, None when no cut can.

    All classes above one size are cut to it. It is the largest m with m <= limit * sum(min(n, m)); m / sum(min(n, m)) never falls with m.
    """
    if not rows or max(rows.values()) <= limit * sum(rows.values()):
        return {}
    sizes = np.sort(np.array(list(rows.values())))
    low, high = 0, int(sizes[-1])
    while low < high:
        middle = (low + high + 1) // 2
        if middle <= limit * np.minimum(sizes, middle).sum() + 1e-9:
            low = middle
        else:
            high = middle - 1
    return {label: low / count for label, count in rows.items() if count > low} if low else None
