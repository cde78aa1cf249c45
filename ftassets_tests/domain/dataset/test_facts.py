"""Facts in an answer that its request does not hold."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ftassets.domain.chat import question
from ftassets.domain.dataset.facts import COMMON, changing_facts, without_facts
from ftassets.domain.dataset.rows import Example


def row(prompt: str, completion: str, number: int = 0) -> Example:
    return Example(id=str(number), messages=question(prompt), completion=completion)


@pytest.mark.parametrize(
    ("prompt", "completion", "facts"),
    [
        ("What does it cost?", "The plan costs $19.99 a month.", {"price": {"$19.99"}}),
        ("What does it cost?", "That is 1,200 EUR.", {"price": {"1,200 EUR"}}),
        ("When is it out?", "It is out on 2026-03-01.", {"date": {"2026-03-01"}}),
        ("When is it out?", "It comes on March 3rd, at noon.", {"date": {"March 3rd"}}),
        ("How many seats?", "There are 42 seats.", {"number": {"42"}}),
        ("Who can help?", "Please write to Alice Miller today.", {"name": {"Alice", "Miller"}}),
        ("Does Alice's order of 1,000 ship?", "Yes, Alice has 1000 on the way.", {}),
        ("timer for twenty five minutes", "I set 25 minutes.", {}),
        ("timer for seven minutes", "I set 7 minutes.", {}),
        ("timer for seven minutes", "I set 17 minutes.", {"number": {"17"}}),
        ("How?", "Do this:\n1. Open the lid.\n2. Press it.", {}),
        ("Is it ready?", "Yes. It is. Thanks for asking!", {}),
        ("Can I?", "I think that I can.", {}),
        ("dim the hall to 30", '{"intent": "Dim", "area": "hall", "level": 30}', {}),
        ("dim the hall", '{"intent": "Dim", "level": 30, "on": true, "more": [null]}', {"number": {"30"}}),
    ],
)
def test_only_what_the_request_does_not_hold_is_a_fact(prompt: str, completion: str, facts: dict[str, set[str]]) -> None:
    assert changing_facts([row(prompt, completion)]) == [facts]


def test_what_many_answers_share_is_vocabulary_but_a_price_in_a_text_is_not() -> None:
    shared = [row(f"question {n}", "We at Acme ask for $5.", n) for n in range(COMMON)]
    assert changing_facts(shared) == [{"price": {"$5"}}] * COMMON
    assert changing_facts(shared[:-1])[0] == {"price": {"$5"}, "name": {"Acme"}}
    calls = [row(f"urgent thing {n}", '{"priority": 300}', n) for n in range(COMMON)]
    assert changing_facts(calls) == [{}] * COMMON
    assert changing_facts(calls[:-1])[0] == {"number": {"300"}}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("It costs $5 until March 3rd.", "It costs $7 until May 12.", True),
        ("Ask Alice about 5 seats", "Ask Bob about 70 seats", True),
        ("It costs $5.", "It is free.", False),
        ('{"price": 5}', '{"price": 6}', True),
    ],
)
def test_answers_that_differ_in_facts_only_are_the_same_without_them(one: str, other: str, same: bool) -> None:
    assert (without_facts(one) == without_facts(other)) is same


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
@example("0", "A0:1")
def test_an_answer_that_repeats_its_request_states_nothing_new(prompt: str, other: str) -> None:
    whole = f"{prompt} {other}"
    assert not changing_facts([row(whole, whole)])[0].keys() - {"name"}


def test_a_label_with_a_number_or_a_name_in_it_is_no_fact_that_changes() -> None:
    labels = ("priority 1", "priority 2", "Account Access", "€20 voucher")
    rows = [Example(id=f"r{n}", messages=question(f"request {'x' * n}"), completion=labels[n % 4]) for n in range(40)]
    assert not any(changing_facts(rows))
    assert sum(map(bool, changing_facts(rows[:8]))) == 8, "as many answers as in a file of answers to questions"
