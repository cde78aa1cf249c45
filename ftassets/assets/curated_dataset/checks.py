"""Checks of a curated dataset, run again on the rows that curation kept."""

from collections import Counter
from collections.abc import Mapping, Sequence

import dagster as dg
import numpy as np

from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.curation import Curated, SizeVerdict, normalised
from ftassets.domain.dataset.curation.cosine import alike
from ftassets.domain.dataset.curation.pii import find
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm

LOPSIDED = 0.5  # share of one class from which the dataset's balance is doubted

BLOCKING = {
    "rows_add_up": "Every row collected was kept or quarantined.",
    "schema": "Every answer has the form the task asks for.",
    "no_duplicates": "No two rows ask the same.",
    "pii_scrubbed": "The patterns for personal data find nothing in the rows kept; names are looked for only with pii_names.",
    "no_leak": "No row is near a golden row or a row of another split.",
    "enough_rows": "There are as many rows as the goal needs.",
}
INFORMING = {"balanced": "No class outweighs all others."}


def specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a curated dataset."""
    blocking = [dg.AssetCheckSpec(name, asset=key, blocking=True, description=text) for name, text in BLOCKING.items()]
    return blocking + [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in INFORMING.items()]


def results(
    loop: LoopConfig,
    curated: Curated,
    collected: int,
    vectors: Mapping[str, np.ndarray],
    golden: Sequence[Example],
    golden_vectors: np.ndarray,
) -> list[dg.AssetCheckResult]:
    """Verdicts on the rows kept; `vectors` are the unit vectors of the rows by id."""
    rows = [row for members in curated.splits.values() for row in members]
    form = loop.task.form
    return [
        _result(
            "rows_add_up",
            collected == curated.rows + len(curated.dropped),
            f"{collected} collected, {curated.rows} kept, {len(curated.dropped)} quarantined",
        ),
        _bad_rows("schema", [row for row in rows if form.row_fault(row.completion) is not None], "an answer of another form"),
        _bad_rows("no_duplicates", _repeated(rows) if "exact" not in loop.dataset.skip else [], "the request of another row"),
        _bad_rows(
            "pii_scrubbed",
            [row for row in rows if find(row.prompt) or (not form.closed and find(row.completion))]
            if "pii" not in loop.dataset.skip
            else [],
            "text with the form of personal data",
        ),
        _leak(loop, curated, vectors, golden, golden_vectors),
        _result("enough_rows", curated.preflight.verdict is not SizeVerdict.REFUSED, curated.preflight.sentence),
        _balanced(rows, form),
    ]


def _balanced(rows: Sequence[Example], form: AnswerForm) -> dg.AssetCheckResult:
    passed, text = True, f"does not apply: {form.lacks.get('classes')}"
    if "classes" not in form.lacks:
        classes = Counter(form.label(row.completion) for row in rows).most_common()
        name, count = classes[0]
        passed = count <= LOPSIDED * len(rows)
        text = f"{len(classes)} classes, the largest, {name}, has {count / len(rows):.0%} of the rows"
    return dg.AssetCheckResult(check_name="balanced", passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text)


def _result(name: str, passed: bool, text: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, description=text)


def _bad_rows(name: str, bad: Sequence[Example], what: str) -> dg.AssetCheckResult:
    text = f"{len(bad)} rows have {what}: {', '.join(row.id for row in bad[:5])}" if bad else f"no row has {what}"
    return _result(name, not bad, text)


def _repeated(rows: Sequence[Example]) -> list[Example]:
    seen: set[str] = set()
    repeated = []
    for row in rows:
        text = normalised(row.prompt)
        if text in seen:
            repeated.append(row)
        seen.add(text)
    return repeated


def _leak(
    loop: LoopConfig, curated: Curated, vectors: Mapping[str, np.ndarray], golden: Sequence[Example], golden_vectors: np.ndarray
) -> dg.AssetCheckResult:
    """Near pairs between what is trained on and what is tested on: the other splits, and the golden set."""
    train = curated.splits["train"]
    held = [row for name, members in curated.splits.items() if name != "train" for row in members]
    trained = np.array([vectors[row.id] for row in train])
    others = np.array([vectors[row.id] for row in held]).reshape(len(held), trained.shape[1])
    limit = loop.dataset.near_duplicate
    split_leaks = [(train[i].id, held[j].id) for left, right, _ in alike(trained, others, limit) for i, j in zip(left, right, strict=True)]
    kept = np.concatenate([trained, others])
    if "contamination" in loop.dataset.skip:
        golden = []
    golden_leaks = [
        ([*train, *held][i].id, golden[j].id)
        for left, right, _ in alike(kept, golden_vectors[: len(golden)], limit)
        for i, j in zip(left, right, strict=True)
    ]
    leaks = split_leaks + golden_leaks
    text = f"{len(split_leaks)} near pairs across splits, {len(golden_leaks)} with the golden set at cosine {limit:g}"
    return _result("no_leak", not leaks, text + "".join(f"; {one} and {other}" for one, other in leaks[:5]))
