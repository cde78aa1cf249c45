"""How single judgements become a pairwise_score, and how far a judge agrees with people."""

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.canonical import canonical_json
from ftassets.domain.evaluation.llm_judge import (
    BothOrders,
    Calibration,
    Choice,
    JudgedPair,
    LabelledPair,
    PairwiseScore,
    calibrate,
    contradictions,
    pairwise_score,
    parse_labels,
)

CHOICES: tuple[Choice, ...] = get_args(Choice)
OTHER: dict[Choice, Choice] = {"first": "second", "second": "first", "tie": "tie"}

choices = st.lists(st.tuples(st.sampled_from(CHOICES), st.sampled_from(CHOICES)), min_size=1, max_size=5)
judged = st.tuples(st.sampled_from(CHOICES), choices, st.integers(1, 9), st.integers(1, 9))


def pair(number: int, people: Choice, said: list[BothOrders], first: int = 5, second: int = 5) -> JudgedPair:
    texts = {"first": "a" * first, "second": "b" * second}
    return JudgedPair(LabelledPair(id=str(number), prompt="p", preferred=people, **texts), said)


def turned(each: JudgedPair) -> JudgedPair:
    """The same pair, written down the other way round."""
    texts = {"first": each.pair.second, "second": each.pair.first}
    flipped = each.pair.model_copy(update={**texts, "preferred": OTHER[each.pair.preferred]})
    return JudgedPair(flipped, [(b_first, a_first) for a_first, b_first in each.choices])


def decided(winner: Choice) -> list[BothOrders]:
    """A judge without position bias."""
    return [(winner, OTHER[winner])]


@pytest.mark.parametrize(
    ("said", "value", "contradicted"),
    [
        ([("first", "second")], 1, 0),
        ([("second", "first")], -1, 0),
        ([("tie", "tie")], 0, 0),
        ([("first", "first")], 0, 1),
        ([("second", "second")], 0, 1),
        ([("first", "tie")], 0.5, 0),
        ([("first", "second"), ("first", "first")], 0.5, 1),
    ],
)
def test_both_orders_count_alike_and_a_contradiction_is_a_tie(said: list[BothOrders], value: float, contradicted: int) -> None:
    assert pairwise_score(said) == value
    assert contradictions(said) == contradicted


@given(choices)
def test_swapping_the_answers_flips_the_score(said: list[BothOrders]) -> None:
    swapped = [(b_first, a_first) for a_first, b_first in said]
    assert pairwise_score(swapped) == -pairwise_score(said)
    assert contradictions(swapped) == contradictions(said)
    assert -1 <= pairwise_score(said) <= 1


def test_a_row_has_a_value_or_a_reason() -> None:
    for value, reason in ((None, None), (1.0, "both")):
        with pytest.raises(ValueError, match="a value, or the reason"):
            PairwiseScore(id="1", slice="golden", value=value, reason=reason)


@given(st.lists(judged, min_size=1, max_size=60), st.data())
def test_calibration_does_not_depend_on_which_answer_is_called_the_first(rows: list, data: st.DataObject) -> None:
    pairs = [pair(n, people, said, first, second) for n, (people, said, first, second) in enumerate(rows)]
    some = [turned(each) if data.draw(st.booleans()) else each for each in pairs]
    assert calibrate(some, 0.4) == calibrate(pairs, 0.4)
    canonical_json(calibrate(pairs, 0.4).model_dump())  # no NaN: the report can be stored


@given(st.lists(st.tuples(st.sampled_from(CHOICES), st.sampled_from(CHOICES)), min_size=2, max_size=40))
def test_kappa_is_cohens_over_pairs_counted_both_ways(verdicts: list[tuple[Choice, Choice]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    found = calibrate([pair(n, people, decided(judge)) for n, (people, judge) in enumerate(verdicts)], 0.4)
    both = verdicts + [(OTHER[people], OTHER[judge]) for people, judge in verdicts]
    if {people for people, _ in both} == {judge for _, judge in both} == {"tie"}:
        assert found.kappa is None
        assert "tie of every pair" in (found.problem or "") or found.n < 30
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score([people for people, _ in both], [judge for _, judge in both]))
        assert found.agreement == pytest.approx(np.mean([people == judge for people, judge in verdicts]))


def test_a_judge_that_guesses_has_no_kappa_and_one_that_agrees_has() -> None:
    rng = np.random.default_rng(3)
    people = rng.choice(CHOICES[:2], 400)
    guesses = calibrate([pair(n, p, decided(j)) for n, (p, j) in enumerate(zip(people, rng.choice(CHOICES[:2], 400), strict=True))], 0.4)
    assert guesses.kappa_low is not None
    assert guesses.kappa_high is not None
    assert guesses.kappa_low < 0 < guesses.kappa_high
    assert guesses.kappa_high - guesses.kappa_low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert not guesses.trusted(0.95)
    # the first answer is the better one in each line: agreement is no less for that
    agrees = calibrate([pair(n, "first", decided("first")) for n in range(40)], 0.4)
    assert (agrees.kappa, agrees.trusted(0.95)) == (1, True)


def test_biases_are_shares_of_what_was_decided() -> None:
    found = calibrate(
        [
            pair(1, "first", [("first", "first")], 9, 1),  # sees only the place
            pair(2, "second", [("first", "second")], 9, 1),  # longer, against people
            pair(3, "first", [("first", "second")], 9, 1),
            pair(4, "first", [("first", "tie")], 5, 5),
            pair(5, "tie", [("second", "first")], 1, 9),
        ],
        0.4,
    )
    assert (found.decided, found.first_position) == (9, pytest.approx(6 / 9))
    assert (found.both_decided, found.longer, found.longer_people) == (2, 1.0, 0.5)


@pytest.mark.parametrize(("n", "missing", "words"), [(29, 0, "29 labelled pairs, 30 are needed"), (40, 5, "5 of 45"), (0, 0, "0 labelled")])
def test_too_few_pairs_are_no_calibration(n: int, missing: int, words: str) -> None:
    found = calibrate([pair(i, "first", decided("first")) for i in range(n)], 0.0, missing)
    assert words in (found.problem or "")
    assert not found.trusted(0.5001)


def test_a_stored_calibration_says_the_same_again() -> None:
    found = calibrate([pair(n, CHOICES[n % 3], decided(CHOICES[n % 2])) for n in range(50)], 0.4, 1, 2)
    assert Calibration.model_validate_json(found.model_dump_json()) == found
    assert found == calibrate([pair(n, CHOICES[n % 3], decided(CHOICES[n % 2])) for n in range(50)], 0.4, 1, 2)


def test_lines_that_are_no_pair_are_refused_with_number_and_reason() -> None:
    good = {"id": 7, "prompt": "p", "first": "a", "second": "b", "preferred": "tie", "annotator": "jo"}
    lines = ["\ufeff" + json.dumps(good), "", "{", "[]"]
    for changes in ({"id": "8", "preferred": "both"}, {"id": "8", "second": "a"}, {"id": "7"}, {"id": "8", "prompt": ""}, {"id": "9"}):
        lines.append(json.dumps({**good, **changes}))
    pairs, bad = parse_labels("\n".join(lines), "labels.jsonl")
    assert [each.id for each in pairs] == ["7", "9"]
    assert [item.where for item in bad] == [f"labels.jsonl:{n}" for n in (3, 4, 5, 6, 7, 8)]
    assert "preferred" in bad[2].reason
    assert "same text" in bad[3].reason
    assert "id 7 already" in bad[4].reason


def test_people_may_have_judged_answers_to_a_conversation() -> None:
    talk = [
        {"role": "user", "content": "My lamp is broken"},
        {"role": "assistant", "content": "A refund?"},
        {"role": "user", "content": "yes"},
    ]
    line = {"id": "p", "messages": talk, "first": "a", "second": "b", "preferred": "tie"}
    (pair,), bad = parse_labels(json.dumps(line), "labels")
    assert bad == []
    assert pair.asked.prompt == "user: My lamp is broken\nassistant: A refund?\nuser: yes"
    wrong = [{**line, "prompt": "yes"}, {key: line[key] for key in line if key != "messages"}, {**line, "messages": talk[:2]}]
    pairs, bad = parse_labels("\n".join(map(json.dumps, wrong)), "labels")
    assert pairs == []
    assert ["says what was asked" in each.reason for each in bad] == [True, True, False]
