"""The published numbers are those of the report."""

from math import isclose, nan

from scipy.stats import binomtest

from ftassets.domain.release.results import Result, results
from ftassets_tests.domain.release.packs import REPORT


def of(role: str, slice_name: str, metric: str) -> Result:
    [found] = [each for each in results(REPORT) if (each.role, each.slice, each.metric) == (role, slice_name, metric)]
    return found


def test_a_share_has_its_exact_interval_and_a_mean_has_none() -> None:
    found, interval = of("candidate", "golden", "exact_match"), binomtest(17, 20).proportion_ci(0.95, "exact")
    assert (found.value, found.rows) == (0.85, 20)
    assert isclose(found.low or 0, interval.low, abs_tol=1e-6)
    assert isclose(found.high or 0, interval.high, abs_tol=1e-6)
    assert of("base", "golden", "fields") == Result("base", "golden", "fields", 0.475, 20)
    assert of("production", "golden", "well_formed").value == 0.95


def test_metrics_of_the_loop_and_response_times() -> None:
    assert of("production", "golden", "rouge.rougeL").value == 0.5
    assert of("candidate", "requests", "latency_p95_ms").value == 29.0  # numpy: 10, 20, 30 at 1.9


def test_what_is_not_a_number_is_not_published() -> None:
    broken = REPORT.model_copy(update={"metrics": {"rouge": {"candidate": {"golden": {"rougeL": nan}}}}})
    assert not [each for each in results(broken) if each.metric == "rouge.rougeL"]
