"""Whether a judge is still the one that was compared with people: a provider may put another model behind the same name.

At the first report some labelled pairs are judged twice, at each later one once more. A judge that has not changed gives choices that are
exchangeable, so that both tests are exact McNemar tests: right at first and wrong now against the opposite, and choices that differ from
the first ones now but did not when repeated, against the opposite. Check number t has the share 1 / (t * (t + 1)) of the stated risk: the
shares of all checks add up to 1, so that the risk of ever calling an unchanged judge changed is the stated one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ftassets.domain.evaluation.llm_judge import Points
from ftassets.domain.statistics import Pairs, mcnemar_p

REJUDGED = 60  # labelled pairs that are judged again at each report
RISK = 0.05  # that a judge that does not change is ever called changed


@dataclass(frozen=True)
class Rejudged:
    """What people prefer of one labelled pair, and the judge: at first, when asked again at once, and now."""

    people: Points
    first: Points
    repeated: Points
    now: Points


def changed(pairs: Sequence[Rejudged], check: int, risk: float = RISK) -> str | None:
    """Why the judge must be taken to have changed, at check number `check` from 1 on; None while nothing shows it."""
    level, n = risk / (check * (check + 1)) / 2, len(pairs)
    right_first, right_now = [each.first == each.people for each in pairs], [each.now == each.people for each in pairs]
    if (p := mcnemar_p(Pairs.of(right_first, right_now))) < level:
        return f"it agrees with people on {sum(right_now)} of {n} labelled pairs, and did on {sum(right_first)} (p = {p:.2g})"
    other_now, other_again = [each.now != each.first for each in pairs], [each.repeated != each.first for each in pairs]
    if (p := mcnemar_p(Pairs.of(other_now, other_again))) < level:
        return (
            f"{sum(other_now)} of {n} choices on labelled pairs differ from its first ones, {sum(other_again)} when it was asked twice "
            f"(p = {p:.2g})"
        )
    return None
