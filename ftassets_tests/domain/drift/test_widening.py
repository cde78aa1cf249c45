"""What a new version's first answers add to its reference, and what stays an alarm."""

import numpy as np
import pytest

from ftassets.domain.drift import DriftVerdict, build_reference, compare
from ftassets.domain.drift.widening import widening

RATE, SMALLEST, D = 0.005, 100, 48


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def queries(topics: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors around topics (k, d)."""
    return unit(topics[rng.integers(len(topics), size=n)] + rng.normal(size=(n, D)) * 0.15)


@pytest.mark.parametrize(("distance", "share", "left_out_at_least"), [(9.0, 0.25, 0.99), (9.0, 0.05, 0.95), (0.9, 0.25, 0.9)])
def test_a_topic_that_nobody_knew_does_not_widen_it_and_stays_an_alarm(distance: float, share: float, left_out_at_least: float) -> None:
    rng = np.random.default_rng(3)
    known = unit(rng.normal(size=(40, D)))
    new = unit(known[:5] + distance * unit(rng.normal(size=(5, D))))
    trained, n = queries(known, 3000, rng), 2000
    answers = np.concatenate([queries(known, round(n * (1 - share)), rng), queries(new, round(n * share), rng)])
    is_new = np.arange(n) >= round(n * (1 - share))
    order = rng.permutation(n)
    found = widening(build_reference(trained, "e", rate=RATE), answers[order], RATE, SMALLEST)
    assert (~found.keep[is_new[order]]).mean() >= left_out_at_least
    assert (~found.keep[~is_new[order]]).mean() < 0.06, "traffic as usual widens it"
    assert found.left_out == pytest.approx((~found.keep).mean())

    widened = build_reference(np.concatenate([trained, answers[order][found.keep]]), "e", rate=RATE)
    all_of_it = build_reference(np.concatenate([trained, answers]), "e", rate=RATE)
    window = np.concatenate([queries(known, round(400 * (1 - share)), rng), queries(new, round(400 * share), rng)])
    assert compare(widened, window, RATE, SMALLEST).verdict is DriftVerdict.ALARM
    assert compare(all_of_it, window, RATE, SMALLEST).verdict is DriftVerdict.QUIET, "without that it would be silent from now on"
    assert compare(widened, queries(known, 400, rng), RATE, SMALLEST).verdict is DriftVerdict.QUIET


def test_traffic_as_usual_widens_it_whole() -> None:
    rng = np.random.default_rng(4)
    known = unit(rng.normal(size=(40, D)))
    found = widening(build_reference(queries(known, 3000, rng), "e", rate=RATE), queries(known, 1500, rng), RATE, SMALLEST)
    assert found.keep.all()
    assert found.left_out == 0.0
