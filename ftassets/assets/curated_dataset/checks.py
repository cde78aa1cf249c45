"""The verdicts on a curated dataset as Dagster's asset checks."""

from collections import Counter
from collections.abc import Mapping

import dagster as dg

from ftassets.config.loop import LoopConfig
from ftassets.domain.acceptance import Check
from ftassets.domain.dataset.acceptance import BLOCKING
from ftassets.domain.dataset.curation import Curated
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.wording import amount

LOPSIDED = 0.5  # share of one class from which the dataset's balance is doubted
INFORMING = {"balanced": "No class outweighs all others.", "every_split_has_rows": "Train, validation and test have rows."}


def specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a curated dataset."""
    blocking = [dg.AssetCheckSpec(name, asset=key, blocking=True, description=text) for name, text in BLOCKING.items()]
    return blocking + [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in INFORMING.items()]


def results(loop: LoopConfig, curated: Curated, checks: Mapping[str, Check]) -> list[dg.AssetCheckResult]:
    """The verdicts as Dagster shows them: `checks` block, the balance of the classes and of the splits informs."""
    shown = [dg.AssetCheckResult(check_name=name, passed=check.passed, description=check.sentence) for name, check in checks.items()]
    return [*shown, _balanced(curated, loop.task.form), _split(curated, loop)]


def _balanced(curated: Curated, form: AnswerForm) -> dg.AssetCheckResult:
    answers = [row.completion for members in curated.splits.values() for row in members]
    text = form.no_classes(answers)
    passed = "classes" in form.lacks
    if text is None:
        classes = Counter(map(form.label, answers)).most_common()
        name, count = classes[0]
        passed = count <= LOPSIDED * curated.rows
        text = f"{amount(len(classes), 'class', 'classes')}, the largest, {name}, has {count / curated.rows:.0%} of the rows"
    return dg.AssetCheckResult(check_name="balanced", passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text)


def _split(curated: Curated, loop: LoopConfig) -> dg.AssetCheckResult:
    empty = curated.empty_splits(loop)
    counts = ", ".join(f"{name} {len(members)}" for name, members in curated.splits.items())
    text = f"no row in {' and '.join(empty)} ({counts}): give rows that differ another `group`, or add rows" if empty else counts
    return dg.AssetCheckResult(check_name="every_split_has_rows", passed=not empty, severity=dg.AssetCheckSeverity.WARN, description=text)
