"""What is usual of production, and whose lapses tell nothing of a candidate."""

from dataclasses import replace

import numpy as np
import pytest

from ftassets.config.loop import Guardrail, Rollout
from ftassets.domain.rollout.guardrails import FEWEST_BEFORE, LAPSES, PARTS, Failure, compared, failures_of, usual_lapses
from ftassets.domain.traffic.lapses import Ended, FirstLapse, Lapse, Pair

POLICY = Rollout()
GOOD = Ended("u", 200, False, 100.0, None, 10)


def before(count: int) -> list[Ended]:
    return [replace(GOOD, user=f"u{n % 7}", latency_ms=float(n), tokens_out=n) for n in range(count)]


def test_each_metric_has_a_lapse_of_its_own_and_a_part() -> None:
    metrics = [guardrail.metric for guardrail in POLICY.guardrails]
    assert set(metrics) == LAPSES.keys() == PARTS.keys()
    assert set(LAPSES.values()) == set(Lapse)


def test_limits_are_what_is_usual_of_production_with_the_margin_on_top_for_the_candidate() -> None:
    pair = compared("c", "p", before(200), POLICY)
    usual = np.quantile(np.arange(200), 0.95)
    assert pair.limits["p", Lapse.SLOW] == pytest.approx(usual)
    assert pair.limits["c", Lapse.SLOW] == pytest.approx(1.2 * usual)
    assert pair.limits["c", Lapse.LONG] == pytest.approx(1.5 * usual)
    assert not any(lapse is Lapse.LATE for _, lapse in pair.limits), "nobody streamed"
    assert compared("c", "p", before(FEWEST_BEFORE - 1), POLICY).limits == {}
    failing = [replace(each, status=500) for each in before(200)]
    assert compared("c", "p", failing, POLICY).limits == {}, "a failure has no latency"


def test_users_most_of_whose_requests_lapsed_before_tell_nothing() -> None:
    broken = [replace(GOOD, user="broken", status=500)] * 3 + [replace(GOOD, user="broken")] * 2
    half = [replace(GOOD, user="half", status=500), replace(GOOD, user="half")]
    odd = [replace(GOOD, user="odd", malformed=True), replace(GOOD, user="odd", status=400)]
    nobody = [replace(GOOD, user="", status=500)] * 9
    found = usual_lapses(broken + half + odd + nobody, Pair("c", "p"))
    assert found == {Lapse.ERROR: {"broken"}, Lapse.MALFORMED: {"odd"}}


def test_evidence_is_by_guardrail_and_weights_are_the_candidate_s() -> None:
    policy = Rollout(guardrails=(Guardrail(metric="errors", margin=0.01), Guardrail(metric="form", margin=0.01)))
    firsts = [
        FirstLapse(Lapse.ERROR, "c", 5.0, "a", 0),
        FirstLapse(Lapse.ERROR, "p", 95.0, "broken", 0),
        FirstLapse(Lapse.ERROR, "p", 95.0, "", 1, 4),
        FirstLapse(Lapse.MALFORMED, "p", 80.0, "broken", 0),
        FirstLapse(Lapse.SLOW, "c", 5.0, "a", 0),
    ]
    found = failures_of(firsts, {Lapse.ERROR: frozenset({"broken"})}, Pair("c", "p"), policy)
    assert found == {
        "errors": [Failure(True, 5.0, "a", 0), Failure(False, 5.0, "", 1, 4)],
        "form": [Failure(False, 20.0, "broken", 0)],
    }
