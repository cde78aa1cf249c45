"""A review as people fill it in, and what its gate says."""

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.evaluation.human_review import Given, Review, ReviewRefused, ReviewRow, parse_csv, to_csv
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.human_review import progress_of, review_sample
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import HELD_OUT, EvalReport
from ftassets.domain.gates.result import GateResult, Verdict

GATE = Gate(metric="human_review", at_least=0.9, sample=60)
DIGEST, OTHER = "ab" * 32, "cd" * 32
SAMPLE = ["r1", "r2", "r3"]


def report(rows: int = 200, run_id: str = "run") -> EvalReport:
    fixed: dict[str, Any] = {"loop": "triage", "run_id": run_id} | dict.fromkeys(
        ("candidate", "production", "base", "dataset_commit", "golden_commit", "policy_digest"), "x"
    )
    scores = [Score(id=f"r{n}", slice="golden", exact=True, fields=1, valid=True) for n in range(rows)]
    scores += [Score(id=f"{HELD_OUT}:{n}", slice=HELD_OUT, exact=True, fields=1, valid=True) for n in range(100)]
    return EvalReport(
        **fixed, production_is_base=False, generation={}, latency_ms={}, answers={},
        scores=dict.fromkeys(("candidate", "production", "base"), scores),
    )  # fmt: skip


def review(*given: dict[str, bool], by: tuple[str, ...] = ("anna", "ben"), run_id: str = "run") -> Review:
    said = tuple(Given(by=name, at=float(n), verdicts=verdicts) for n, (name, verdicts) in enumerate(zip(by, given, strict=False)))
    return Review(report=DIGEST, run_id=run_id, given=said)


def said(made: Review | None, gate: Gate = GATE) -> GateResult:
    return evaluate_gates([gate], report(), made)[0]


def bad(count: int) -> dict[str, bool]:
    """Verdicts on the whole sample, some of them no, spread evenly."""
    no = {(2 * number + 1) * 30 // count for number in range(count)}
    return {name: n not in no for n, name in enumerate(review_sample(GATE, report(), DIGEST))}


@pytest.mark.parametrize(
    ("no", "verdict"),
    [(0, Verdict.PASS), (1, Verdict.PASS), (2, Verdict.NOT_ENOUGH_DATA), (6, Verdict.NOT_ENOUGH_DATA), (13, Verdict.FAIL)],
)
def test_the_exact_bounds_decide(no: int, verdict: Verdict) -> None:
    result = said(review(bad(no)))
    assert (result.verdict, result.n, result.value) == (verdict, 60, pytest.approx((60 - no) / 60))


def test_the_sentence_says_what_the_good_ones_exclude_and_when_reviewers_may_stop() -> None:
    whole, names = said(review(bad(0))), review_sample(GATE, report(), DIGEST)
    assert "60 of 60 answers are good to all who saw them (anna), which excludes more than 4.9 % bad ones at 95 %" in whole.sentence
    assert "decided: PASS after 36 of 60 answers" in whole.sentence
    assert whole.bound == pytest.approx(0.05 ** (1 / 60), abs=0.001)
    part = said(review(dict.fromkeys(names[:24], True)))
    assert part.verdict is Verdict.NOT_ENOUGH_DATA
    assert "12 more good ones would decide, 36 are left" in part.sentence
    assert said(review(dict.fromkeys(names[:36], True))).verdict is Verdict.PASS
    hopeless = said(review({names[0]: False, names[1]: False}))
    assert "can no longer pass, even if the other 58 are good" in hopeless.sentence
    assert hopeless.verdict is Verdict.NOT_ENOUGH_DATA
    early = said(review(dict.fromkeys(names[:5], False)))
    assert early.verdict is Verdict.FAIL
    assert "decided: FAIL after" in early.sentence


def test_answers_count_in_the_order_of_the_sample_so_that_nobody_can_choose_them() -> None:
    names = review_sample(GATE, report(), DIGEST)
    chosen = said(review(dict.fromkeys([*names[:10], *names[11:]], True)))
    assert (chosen.verdict, chosen.n) == (Verdict.NOT_ENOUGH_DATA, 10)
    assert "49 more are reviewed and count once those before them are" in chosen.sentence


def test_a_pass_that_later_reviews_contradict_is_none() -> None:
    names = review_sample(GATE, report(), DIGEST)
    found = said(review({name: n < 40 for n, name in enumerate(names)}))
    assert found.verdict is Verdict.FAIL


def test_bounds_that_contradict_each_other_say_so_and_pass_nothing() -> None:
    names = review_sample(GATE, report(), DIGEST)
    found = said(review({name: n > 10 for n, name in enumerate(names[:40])}))
    assert found.verdict is Verdict.FAIL
    assert found.bound is not None
    assert found.fail_bound is not None
    assert found.fail_bound - found.bound > 0.1, "no interval without a width"
    assert "proves a share of at least 0.543, another one of at most 0.396. By chance that happens in less than 10 % of" in found.sentence
    easy = GATE.model_copy(update={"at_least": 0.2})
    progress = progress_of(easy, names, {name: n > 10 for n, name in enumerate(names[:40])})
    assert (progress.contradictory, progress.verdict) == (True, Verdict.NOT_ENOUGH_DATA)
    assert progress.sentence == "this sample decides nothing: materialize eval_report again, which draws another one"


def test_a_no_that_is_taken_back_after_the_verdict_stays() -> None:
    names = review_sample(GATE, report(), DIGEST)
    failed, again = {name: n > 10 for n, name in enumerate(names)}, dict.fromkeys(names, True)
    given = tuple(Given(by="anna", at=float(at), verdicts=each) for at, each in enumerate((failed, again)))
    both = Review(report=DIGEST, run_id="run", given=given)
    assert said(review(failed)).verdict is said(both).verdict is Verdict.FAIL
    assert both.taken_back(Given(by="anna", at=2.0, verdicts=again)) == sorted(names[:11])
    assert both.taken_back(Given(by="ben", at=2.0, verdicts=again)) == []
    assert both.taken_back(Given(by="anna", at=2.0, verdicts=failed)) == []


def test_agreement_between_reviewers_is_shown() -> None:
    names = review_sample(GATE, report(), DIGEST)
    found = said(review(bad(2), dict.fromkeys(names[:30], True)))
    assert "reviewers agree in 29 of 30 pairs of reviews, Krippendorff's alpha" in found.sentence
    assert "(95 % interval" in found.sentence
    assert "agree in 30 of 30 pairs of reviews, all of them the same word" in said(review(bad(0), dict.fromkeys(names[:30], True))).sentence
    assert "reviewers" not in said(review(bad(0))).sentence.split("excludes")[0]
    assert "pairs of reviews" not in said(review(bad(0))).sentence


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (None, "no person has reviewed"),
        (review(bad(0), run_id="another"), "of another report"),
        (review(dict(list(bad(0).items())[1:])), "the first of 60 answers is not reviewed; 59 more are reviewed"),
        (review({f"{HELD_OUT}:1": True}), "the first of 60 answers is not reviewed"),
        (review(dict(list(bad(0).items())[:20])), "16 more good ones would decide"),
    ],
)
def test_what_is_missing_says_what_to_run(made: Review | None, words: str) -> None:
    result = said(made)
    assert result.verdict is Verdict.NOT_ENOUGH_DATA
    assert words in result.sentence
    assert "ftassets review export triage --out review.csv" in result.sentence
    assert "ftassets review import triage review.csv --name NAME" in result.sentence


def test_the_sample_depends_on_the_report_and_holds_golden_rows_alone() -> None:
    here, there = (review_sample(GATE, report(), digest) for digest in (DIGEST, OTHER))
    assert len(set(here)) == 60
    assert set(here) != set(there)
    assert not [name for name in here if name.startswith(HELD_OUT)]
    assert here == review_sample(GATE, report(), DIGEST)


verdicts = st.dictionaries(st.sampled_from(SAMPLE), st.booleans())


@given(st.lists(st.tuples(st.sampled_from(["anna", "ben"]), verdicts), max_size=5))
def test_an_answer_is_good_when_nobody_ever_said_no(entries: list[tuple[str, dict[str, bool]]]) -> None:
    found = Review(report=DIGEST, run_id="run", given=tuple(Given(by=by, at=0, verdicts=said) for by, said in entries)).good
    for name in SAMPLE:
        words = [said[name] for _, said in entries if name in said]
        assert found.get(name) == (all(words) if words else None)


def test_two_reviewers_who_disagree_make_a_bad_answer() -> None:
    assert said(review(bad(0))).verdict is Verdict.PASS
    both = said(review(bad(0), bad(15)))
    assert both.verdict is Verdict.FAIL
    assert "anna, ben" in both.sentence


# the file


def table(*rows: tuple[str, str], digest: str = DIGEST) -> str:
    return "report,id,prompt,expected,answer,good\n" + "".join(f"{digest},{name},p,e,a,{good}\n" for name, good in rows)


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@given(st.dictionaries(words.filter(bool), st.tuples(words, words, words), min_size=1, max_size=8), st.data())
def test_what_goes_out_comes_back(rows: dict[str, tuple[str, str, str]], data: st.DataObject) -> None:
    text = to_csv(DIGEST, [ReviewRow(name, *texts) for name, texts in rows.items()])
    filled = list(csv.DictReader(io.StringIO(text, newline="")))
    wanted = {name: data.draw(st.booleans()) for name in rows}
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, filled[0].keys())
    writer.writeheader()
    for row in filled:
        assert row["answer"].removeprefix("'").endswith(rows[row["id"]][2].removeprefix("'"))
        assert row["prompt"][:1] not in ("=", "+", "-", "@"), "a spreadsheet would run it"
        writer.writerow({**row, "good": data.draw(st.sampled_from(["yes", "1", "TRUE"] if wanted[row["id"]] else [" no ", "0", "False"]))})
    assert parse_csv("\ufeff" + out.getvalue(), DIGEST, rows.keys()) == wanted


def test_rows_without_a_word_stay_open() -> None:
    cut_short = f"{DIGEST},r3\n"
    assert parse_csv(table(("r1", "yes"), ("r2", "")) + cut_short, DIGEST, SAMPLE) == {"r1": True}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (table(("r1", "yes"), ("r2", "maybe")), "row 3: 'maybe' is neither yes nor no"),
        (table(("r1", "yes"), ("r1", "no")), "row 3: 'r1' is there twice"),
        (table(("r1", "yes"), ("r9", "no")), "row 3: 'r9' is not in the sample"),
        (table(("r1", "yes"), digest=OTHER), "of report 'cdcdcdcdcdcd', the newest is abababababab: export again"),
        (table(("r1", ""), ("r2", " ")), "no row says yes or no"),
        ("report;id;good\n", "row 1: no column report, id, good"),
        ("", "row 1: no column"),
        (table(("r1", "yes")) + '"', "not a CSV file"),
    ],
)
def test_a_bad_row_refuses_the_whole_file(text: str, why: str) -> None:
    with pytest.raises(ReviewRefused, match=re.escape(why)):
        parse_csv(text, DIGEST, SAMPLE)
