"""Prompt, retrieve or fine-tune: what decides, and the numbers in the reasons."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import question
from ftassets.domain.dataset.advice import Advice, Choice, Circumstances, Evidence, advise
from ftassets.domain.dataset.rows import Example

ROOMS = ("kitchen", "hall", "attic", "garage", "office")
VERBS = ("dim", "open", "light", "close")


def row(prompt: str, completion: str, number: int) -> Example:
    return Example(id=str(number), messages=question(prompt), completion=completion)


def calls(count: int) -> list[Example]:
    """Commands whose words differ enough not to be near-identical, in four classes."""
    return [
        row(f"{n * 7919 % 1000003:x} {VERBS[n % 4]} {ROOMS[n % 5]}", json.dumps({"intent": VERBS[n % 4], "area": ROOMS[n % 5]}), n)
        for n in range(count)
    ]


def finding(advice: Advice, name: str) -> Evidence:
    return next(f for f in advice.findings if f.name == name)


@pytest.mark.parametrize(
    ("count", "verdict"),
    [
        (1, Choice.PROMPT),
        (49, Choice.PROMPT),
        (50, Choice.COLLECT),
        (499, Choice.COLLECT),
        (500, Choice.FINE_TUNE),
        (900, Choice.FINE_TUNE),
    ],
)
def test_the_number_of_examples_decides_where_nothing_else_does(count: int, verdict: Choice) -> None:
    advice = advise(calls(count))
    assert advice.verdict is verdict
    assert f"{count} distinct examples" in advice.reasons[0]


def test_copies_do_not_count() -> None:
    copies = [row(f"  {e.prompt.upper()} ", e.completion, n) for n, e in enumerate(calls(400), start=1000)]
    advice = advise([*calls(400), *copies])
    assert advice.verdict is Choice.COLLECT
    assert "400 distinct examples (400 of 800 rows are copies)" in advice.reasons[0]


def test_answers_full_of_facts_belong_into_retrieval_whatever_their_number() -> None:
    rows = [row(f"what does article {'xyzuvw'[n % 6] * (n + 1)} cost?", f"It costs ${n + 5}.99 today.", n) for n in range(600)]
    advice = advise(rows)
    assert advice.verdict is Choice.RETRIEVE
    assert advice.reasons[0].startswith("100% of the answers state a price, date, number or name")
    assert "price 100%, for example '$5.99'; 600 of 600" in advice.reasons[0]


def test_few_answers_with_facts_are_no_proof_and_only_named() -> None:
    one = advise([row("what does it cost?", "It costs $5.", 0)])
    assert one.verdict is Choice.PROMPT
    some = [row(f"price of {n}x?", f"It costs ${n + 5000}.", n) for n in range(1000, 1050)]
    advice = advise([*calls(600), *some])
    assert advice.verdict is Choice.FINE_TUNE
    assert any("50 of 650" in reason and "Leave these to retrieval" in reason for reason in advice.reasons)


def test_contradictions_come_before_training() -> None:
    other = [row(e.prompt, '{"intent": "stop", "area": "all"}', n) for n, e in enumerate(calls(100), start=1000)]
    advice = advise([*calls(500), *other])
    assert advice.verdict is Choice.COLLECT
    assert any("100 of 100 requests that occur more than once have different answers" in reason for reason in advice.reasons)
    agreeing = [row(e.prompt, e.completion, n) for n, e in enumerate(calls(100), start=1000)]
    assert finding(advise([*calls(500), *agreeing]), "contradictions").value == 0


def test_contradictions_in_facts_alone_ask_for_retrieval() -> None:
    rows = [row(f"stock of {'abcdef'[n % 6] * (n % 40 + 1)} {n % 240}?", f"We have {n} left", n) for n in range(600)]
    advice = advise([*calls(3000), *rows])
    assert finding(advice, "changing_facts").speaks_for is None  # too small a share of all answers
    assert advice.verdict is Choice.RETRIEVE
    assert any("only in a number, date, price or name" in reason for reason in advice.reasons)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"days_between_changes": 2.0}, Choice.PROMPT),
        ({"days_between_changes": 30.0}, Choice.FINE_TUNE),
        ({"maintained": False}, Choice.COLLECT),
        ({"maintained": True, "requests_per_day": 10.0}, Choice.FINE_TUNE),
    ],
)
def test_what_the_team_says_can_hold_training_back(said: dict[str, Any], verdict: Choice) -> None:
    assert advise(calls(600), Circumstances(**said)).verdict is verdict


def test_volume_is_a_reason_for_training_and_no_substitute_for_examples() -> None:
    busy, calm = (advise(calls(100), Circumstances(requests_per_day=n)) for n in (1_000_000.0, 10.0))
    assert busy.verdict is calm.verdict is Choice.COLLECT
    assert "at 1,000,000 requests, which a tuned model does not read" in busy.reasons[-1]
    assert not any("a tuned model does not read" in reason for reason in calm.reasons)


def test_what_was_not_said_is_named_as_not_seen() -> None:
    nothing = " ".join(advise(calls(10)).not_seen)
    everything = " ".join(advise(calls(10), Circumstances(30.0, 100.0, True)).not_seen)
    for subject in ("iteration speed", "cost at volume", "maintenance"):
        assert subject in nothing
        assert subject not in everything
    assert "whether a prompted model is good enough already" in everything


def test_classes_are_found_and_their_balance_told() -> None:
    rows = [*calls(100), row("sing", '{"intent": "sing", "area": "hall"}', 999)]
    advice = advise(rows, label="intent")
    assert finding(advice, "classes").value == 5
    assert "has 1." in finding(advice, "largest_class").text
    assert finding(advice, "rare_classes").text.startswith("1 of 5 classes have fewer than 10 rows (sing)")
    assert "values of the field area" in finding(advise(calls(100)), "classes").text  # guessed: five rooms against four verbs
    words = [row(f"{n:x} is it {n * 31 % 97}?", "yes" if n % 3 else "no", n) for n in range(60)]
    assert finding(advise(words), "classes").text.startswith("2 classes (different answers)")
    free = [row(f"{n:x} why?", f"because of {n * 7919 % 1000003:x}", n) for n in range(60)]
    assert not any(f.name == "classes" for f in advise(free).findings)


def test_near_identical_requests_are_compared_by_class() -> None:
    text = "please be so kind and turn the big old lamp in the dining room {} now"
    rows = [
        row(text.format(word), json.dumps({"intent": intent, "x": word}), n)
        for n, (word, intent) in enumerate([("on", "a"), ("off", "b"), ("up", "a")])
    ]
    near = finding(advise(rows, label="intent"), "near_agreement")
    assert near.value == pytest.approx(1 / 3)
    assert "3 pairs" in near.text


def test_no_example_is_an_error() -> None:
    with pytest.raises(ValueError, match="no example"):
        advise([])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30)), min_size=1, max_size=30),
    st.builds(Circumstances, st.none() | st.floats(0, 400), st.none() | st.floats(0, 1e9), st.none() | st.booleans()),
)
def test_any_examples_get_a_verdict_with_a_reason(pairs: list[tuple[str, str]], said: Circumstances) -> None:
    advice = advise([row(prompt, completion, n) for n, (prompt, completion) in enumerate(pairs)], said)
    assert advice.reasons
    assert advice.not_seen
    assert advice.verdict is not Choice.FINE_TUNE  # never on so few
