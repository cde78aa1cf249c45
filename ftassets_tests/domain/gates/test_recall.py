"""Gates on the recall of a class, and of every class. Oracles: scikit-learn, scipy's beta and binomial sums."""

from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import beta, binom
from sklearn.metrics import recall_score

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.gates.sensitivity import sensitivity
from ftassets.domain.mean_bounds import pair_p_values
from ftassets_tests.domain.gates.reports import labelled, report

ONE = Gate(metric="recall", label="cancel", at_least=0.8)
EVERY = Gate(metric="recall", at_least=0.8)


def made(right: dict[str, tuple[int, int]], theirs: dict[str, int] | None = None) -> EvalReport:
    """Classes with right answers of rows; wrong ones name another class. `theirs` are production's right ones, from the last row on."""
    expected = [label for label, (_, rows) in right.items() for _ in range(rows)]
    ours = [label if place < count else "other" for label, (count, rows) in right.items() for place in range(rows)]
    other = [
        label if place >= rows - (theirs or {}).get(label, 0) else "other" for label, (_, rows) in right.items() for place in range(rows)
    ]
    found = report(labelled(expected, ours), labelled(expected, other))
    return found.model_copy(update={"classes": tuple(right)})


def verdict(gate: Gate, found: EvalReport) -> GateResult:
    return evaluate_gates([gate], found)[0]


def test_a_class_is_a_share_of_its_own_rows() -> None:
    found = made({"cancel": (18, 20), "status": (10, 80)})
    result = verdict(ONE, found)
    scores = found.scores["candidate"]
    wanted = recall_score([s.expected for s in scores], [s.predicted for s in scores], labels=["cancel"], average=None)[0]
    assert (result.value, result.n) == (pytest.approx(wanted), 20)
    assert result.bound == pytest.approx(beta.ppf(0.05, 18, 3))
    assert result.fail_bound == pytest.approx(beta.ppf(0.95, 19, 2))
    assert result.verdict is Verdict.NOT_ENOUGH_DATA
    assert result.sentence.startswith("class cancel: recall 0.900 on 20 rows")
    assert result.name == "recall_cancel_at_least"


@pytest.mark.parametrize(("right", "rows", "expected"), [(14, 14, Verdict.PASS), (13, 13, Verdict.NOT_ENOUGH_DATA), (10, 20, Verdict.FAIL)])
def test_verdicts_of_one_class(right: int, rows: int, expected: Verdict) -> None:
    assert verdict(ONE, made({"cancel": (right, rows), "status": (0, 50)})).verdict is expected


def test_every_class_must_pass_without_correction_and_fails_with_one() -> None:
    assert verdict(EVERY, made({f"c{n}": (14, 14) for n in range(40)})).verdict is Verdict.PASS  # each at 95 %: an intersection
    short = verdict(EVERY, made({"a": (50, 50), "b": (13, 13), "c": (50, 50)}))
    assert (short.verdict, short.n) == (Verdict.NOT_ENOUGH_DATA, 13)
    assert short.sentence.startswith("3 classes: b undecided; class b: ")
    # 12 of 20 has an upper bound of 0.783 at 95 %, of 0.85 at 99.75 %: one class alone fails, one of twenty does not
    lone = {"c0": (12, 20)}
    assert verdict(EVERY, made(lone)).verdict is Verdict.FAIL
    assert verdict(EVERY, made(lone | {f"c{n}": (50, 50) for n in range(1, 20)})).verdict is Verdict.NOT_ENOUGH_DATA
    clear = verdict(EVERY, made({"c0": (2, 20)} | {f"c{n}": (50, 50) for n in range(1, 20)}))
    assert clear.verdict is Verdict.FAIL
    assert "20 classes: c0 fail; class c0: " in clear.sentence
    assert "99.75 % lower bound" in clear.sentence


def test_a_class_without_a_row_is_not_passed_over_but_another_ones_fail_counts() -> None:
    found = made({"a": (50, 50)}).model_copy(update={"classes": ("a", "rare", "(none)")})
    result = verdict(EVERY, found)
    assert (result.verdict, "recall is not known: no row is of rare: add rows of each class" in result.sentence) == (
        Verdict.NOT_ENOUGH_DATA,
        True,
    )
    assert verdict(Gate(metric="recall", label="rare", at_least=0.1), found).verdict is Verdict.NOT_ENOUGH_DATA
    bad = made({"a": (1, 50)}).model_copy(update={"classes": ("a", "rare")})
    assert verdict(EVERY, bad).verdict is Verdict.FAIL


def test_no_worse_than_production_by_class() -> None:
    gate = Gate(metric="recall", no_worse_than="production", margin=0.1)
    same = made({"a": (40, 40), "b": (40, 40)}, {"a": 40, "b": 40})
    assert verdict(gate, same).verdict is Verdict.PASS
    lost = made({"a": (40, 40), "b": (20, 40)}, {"a": 40, "b": 40})
    result = verdict(gate, lost)
    assert (result.verdict, "class b" in result.sentence) == (Verdict.FAIL, True)
    better = verdict(Gate(metric="recall", label="b", better_than="production"), made({"a": (0, 5), "b": (10, 20)}, {"b": 5}))
    assert (better.verdict, better.p_value) == (Verdict.NOT_ENOUGH_DATA, pytest.approx(binom.sf(9, 15, 0.5)))


def test_error_at_the_boundary_by_exact_sums() -> None:
    """One class is at the limit, or all are: PASS and FAIL in at most 5 % of cases."""
    limit = 0.8
    for n, classes in product((10, 20, 45), (1, 5)):
        chance = binom.pmf(range(n + 1), n, limit)
        results = [
            [verdict(EVERY, made({"at": (right, n)} | {f"c{k}": (60, 60) for k in range(classes - 1)})).verdict] for right in range(n + 1)
        ]
        passes = sum(p for p, [each] in zip(chance, results, strict=True) if each is Verdict.PASS)
        fails = sum(p for p, [each] in zip(chance, results, strict=True) if each is Verdict.FAIL)
        assert passes <= 0.05
        assert 1 - (1 - fails) ** classes <= 0.05  # all classes at the limit, any of them FAILs


def test_a_label_in_a_slice_or_of_another_metric() -> None:
    with pytest.raises(ValidationError, match="a label belongs to a gate on recall"):
        Gate(metric="exact_match", label="a", at_least=0.5)
    with pytest.raises(ValidationError, match="a label belongs to a gate on recall"):
        Gate(preset="f1", label="a")
    with pytest.raises(ValidationError, match="recall is compared with better_than or no_worse_than or at_least"):
        Gate(metric="recall", at_most=0.5)
    with pytest.raises(ValidationError, match="labels belong to a gate on f1, or on recall without a label"):
        Gate(metric="recall", label="a", labels=["a", "b"], at_least=0.5)
    with pytest.raises(ValidationError, match="labels belong to a gate on f1"):
        Gate(metric="exact_match", labels=["a"], at_least=0.5)
    found = made({"a": (40, 40), "b": (0, 6)})
    in_slice = verdict(Gate(metric="recall", slice="golden", at_least=0.5), found)
    assert (in_slice.verdict, in_slice.sentence[:9]) == (Verdict.FAIL, "2 classes")


def test_classes_of_a_slice_are_those_of_the_policy_or_that_the_gate_names() -> None:
    found = made({"a": (40, 40), "b": (40, 40)}).model_copy(update={"classes": ("a", "b", "c")})
    sliced = Gate(metric="recall", slice="golden", at_least=0.5)
    result = verdict(sliced, found)
    assert result.verdict is Verdict.NOT_ENOUGH_DATA
    advice = "add rows of each class to slice golden, or name in the gate's `labels` the classes that the slice is about"
    assert result.sentence == f"recall is not known: no row is of c: {advice}"
    named = Gate(metric="recall", slice="golden", labels=["a", "b"], at_least=0.5)
    assert verdict(named, found).verdict is Verdict.PASS
    assert named.sentence == "recall of each of a, b on slice golden is at least 0.5, at 95 % confidence or more."
    assert verdict(named.model_copy(update={"labels": ["a", "c"]}), found).verdict is Verdict.NOT_ENOUGH_DATA
    assert len({sliced.name, named.name, named.model_copy(update={"labels": ["a"]}).name}) == 3


def test_a_class_that_a_slice_has_few_rows_of_is_not_passed_over_more_often_than_stated() -> None:
    """The rows of a slice are drawn at random; a class of 3 % that is right in 3 of 10 must reach 0.7. Exact sums over its rows."""
    gate, n, share, true = Gate(metric="recall", slice="golden", at_least=0.7), 40, 0.03, 0.3
    wrong, of_the_draw = 0.0, 0.0
    for rows, chance in enumerate(binom.pmf(range(12), n, share)):
        for right, also in enumerate(binom.pmf(range(rows + 1), rows, true)):
            drawn = made({"a": (n - rows, n - rows), "rare": (right, rows)})
            wrong += chance * also * (verdict(gate, drawn).verdict is Verdict.PASS)
            there = drawn.model_copy(update={"classes": tuple({score.expected for score in drawn.scores["candidate"]})})
            of_the_draw += chance * also * (verdict(gate, there).verdict is Verdict.PASS)
    assert wrong <= 0.05
    assert of_the_draw > 0.25, "if the draw said which classes there are"


def test_names_of_checks_are_ones_that_dagster_takes() -> None:
    names = [Gate(metric="recall", label=label, at_least=0.5).name for label in ("größe ä", "größe ö", "Größe/ä", "x" * 100)]
    assert len(set(names)) == 4
    assert all(name.isascii() and name.replace("_", "").isalnum() and len(name) < 90 for name in names)


def test_the_power_of_a_gate_on_one_class_is_that_of_its_rows() -> None:
    found = made({"cancel": (14, 14), "status": (80, 80)})
    seen = sensitivity(ONE, found)
    assert seen is not None
    assert seen.detectable is not None
    assert 0.9 < seen.detectable <= 1
    every = sensitivity(EVERY, found)
    assert every is not None
    assert every.power <= seen.power


@pytest.mark.parametrize("classes", [1, 5, 8])
@pytest.mark.parametrize("right", [36, 28])
def test_the_rows_of_each_class_that_are_asked_for_decide_in_80_of_100_cases(classes: int, right: int) -> None:
    """By exact sums: all classes pass, or one of them FAILs at its part of the level."""
    found = verdict(EVERY, made({f"c{n}": (right, 40) for n in range(classes)}))
    assert found.verdict is Verdict.NOT_ENOUGH_DATA
    assert found.rows_needed is not None
    assert found.sentence.endswith(f"rows of {'each class' if classes > 1 else 'class c0'} would tell in 80% of cases")
    n, share, alpha = found.rows_needed, right / 40, 0.05
    counts = range(n + 1)
    passes = sum(binom.pmf(k, n, share) for k in counts if k and beta.ppf(alpha, k, n - k + 1) >= 0.8) ** classes
    fails = sum(binom.pmf(k, n, share) for k in counts if k < n and beta.ppf(1 - alpha / classes, k + 1, n - k) < 0.8)
    told = passes if share > 0.8 else 1 - (1 - fails) ** classes
    assert 0.78 <= told <= 0.87


def test_the_rows_of_each_class_tell_in_simulated_reports_too() -> None:
    gate = Gate(metric="recall", no_worse_than="production", margin=0.1)
    expected = ["a"] * 40 + ["b"] * 40 + ["c"] * 40
    theirs = expected[:-2] + ["other"] * 2
    ours = ["a"] * 40 + ["b"] * 38 + ["other"] * 2 + theirs[80:]  # two broken in b
    seen = report(labelled(expected, ours), labelled(expected, ["a"] * 40 + ["other"] + ["b"] * 39 + theirs[80:]))  # and one fixed
    seen = seen.model_copy(update={"classes": ("a", "b", "c")})
    result = verdict(gate, seen)
    assert (result.verdict, result.rows_needed is not None) == (Verdict.NOT_ENOUGH_DATA, True)
    rng, n, told = np.random.default_rng(0), result.rows_needed or 0, np.ones(2000, dtype=bool)
    for wins, losses in ((0, 0), (1, 2), (0, 0)):  # of 40 rows
        won, lost, _ = rng.multinomial(n, [wins / 40, losses / 40, 1 - (wins + losses) / 40], size=2000).T
        told &= pair_p_values(won, lost, n, -0.1) < 0.05
    assert 0.75 <= told.mean() <= 0.87
