"""Quality: low scores and degenerate rows go with the figure that failed, everything else stays."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import question
from ftassets.domain.dataset.curation.quality import answer_fault, keep_good, request_fault
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.test_pii import loop, pool

REQUESTS = [
    "what expression would i use to say i love you if i were an italian",
    "what is 80980 + 098098 + 80980 + 1243",
    "is 1000000000 + 1000000000 two billion",
    "i need $20000 transferred from my savings to checking",
    "no no no no",
    "zzz",
    "5+5",
    "what does aaa stand for",
    "how much is 30 percent of 99999999999999",
    "打开厨房的灯，然后把客厅的温度调到二十度，" * 15,
    "रसोई की बत्ती चालू करो और फिर बंद करो",
    "เปิดไฟในห้องครัวแล้วปิดไฟในห้องนอน" * 8,
    "see https://example.com/a/" + "0123456789abcdef" * 10,
    "<EMAIL>",
    "why is this 403: https://b.s3.amazonaws.com/k?X-Amz-Signature=" + "0a9f" * 16 + "&X-Amz-Security-Token=" + "IQoJb3Jp" * 60,
    "b.s3.amazonaws.com/k?X-Amz-Security-Token=" + "IQoJb3Jp" * 60 + " has expired",
    "fix this: " + json.dumps({"rows": [{"id": n, "ok": True, "at": None} for n in range(60)]}, separators=(",", ":")),
    "sum up " + json.dumps([[0, 0, 1]] * 90, separators=(",", ":")),
    "| item | price |\n|" + "-" * 40 + "|" + "-" * 40 + "|\n| milk | 2 |\n| eggs | 3 |",
    "Total?\n" + "\n".join(f"{n};{n * 7};;;;;" for n in range(40)),
    "which row is full\n" + "| 1 | | | | |\n" * 12,
    "Contents\nOne ............................ 5\nTwo ............................ 9",
    "0 0 0 0 0 1 0 0 is what number",
    "transpose\n" + "0 0 0 1\n" * 9,
]
ANSWERS = [
    "| a | b | c | d | e | f |\n|---|---|---|---|---|---|\n| 1 | | | | | 2 |\n| | | | 3 | | |",
    "Ha ha ha ha ha, that was a good one, I have to tell it to my colleagues later.",
    "yes",
    "very very good",
    "- milk\n- bread\n- eggs\n- milk",
    "The first step is to open the lid. The second step is to close the lid. The third step is to leave the lid alone.",
    json.dumps({"intent": "Set", "values": ["on"] * 50}, indent=1),
    json.dumps(["no no no no no no no no no no no"] * 9, indent=0),
]


@pytest.mark.parametrize("text", REQUESTS)
def test_real_requests_stay(text: str) -> None:
    assert request_fault(text) is None


@pytest.mark.parametrize("text", ANSWERS)
def test_real_and_structured_answers_stay(text: str) -> None:
    assert answer_fault(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("aaaaaaaaaaaa help", "75% of the request's characters are 'a', more than 50%"),
        ("!?" * 3 + "!" * 14, "85% of the request's characters are '!', more than 50%"),
        ("buy buy buy buy buy now BUY", "one word is 6 of the request's 7 words, more than 50%"),
        ("12:30 13:45 +++ ... 77/88", "0% of the request's characters are letters, fewer than 10%"),
        ("look " + "ab" * 101, "the request has a word of 202 characters, more than 200"),
        ("see data " + "aB3/" * 80 + "==", "the request has a word of 319 characters, more than 200"),
        ("look " + "a\u0301\u0302" * 70, "the request has a word of 210 characters, more than 200"),
        ("help " + "!" * 20, "83% of the request's characters are '!', more than 50%"),
        ("ok " + "\u2603\u2600\u2601\u2602" * 9, "5% of the request's characters are letters, fewer than 10%"),
    ],
)
def test_degenerate_requests_go_with_their_figure(text: str, reason: str) -> None:
    assert request_fault(text) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sure. " + "I am sorry. " * 20, "the answer repeats a phrase 20 times in a row: 60 of its 61 words"),
        ("I can help.\n" + "Please wait.\n" * 6, "the answer has the same line 6 times, of 7 lines"),
        ("one\ntwo three\n" * 6, "the answer repeats a phrase 6 times in a row: 18 of its 18 words"),
        ("no no no no no no", "the answer repeats a phrase 6 times in a row: 6 of its 6 words"),
    ],
)
def test_looping_answers_go_with_their_figure(text: str, reason: str) -> None:
    assert answer_fault(text) == reason


def test_long_requests_take_time_in_proportion() -> None:
    for text in ("a" * 100, "a?", "a=", "a/", "{,", "x://", "\u4e00"):
        begin = time.process_time()
        request_fault(text * (200_000 // len(text)))
        assert time.process_time() - begin < 1, text


def test_scores_below_the_loops_go_and_missing_ones_are_counted() -> None:
    scores = [None, 0.79, 0.8, 1.0, 0.0, None]
    rows = [Example(id=str(i), messages=question("turn on the light"), completion="{}", quality=score) for i, score in enumerate(scores)]
    outcome = keep_good(Pool(rows=rows, index=[0, 1, 2, 3, 4]), loop())
    assert outcome.dropped == {1: "quality score 0.79 is below 0.8", 4: "quality score 0 is below 0.8"}
    assert outcome.counts == {"without a score": 1}
    assert keep_good(Pool(rows=rows, index=[1]), loop(quality_score=0.5)) == StepOutcome()


def test_a_set_without_scores_is_not_emptied() -> None:
    rows = pool(*[(text, "{}") for text in REQUESTS])
    assert keep_good(rows, loop()) == StepOutcome(counts={"without a score": len(REQUESTS)})


def test_a_looping_answer_drops_its_row() -> None:
    outcome = keep_good(pool(("turn on the light", "on and on " * 10), ("turn on the light", "It is on now.")), loop())
    assert outcome.dropped == {0: "the answer repeats a phrase 10 times in a row: 30 of its 30 words"}


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1, max_size=12, unique=True), st.integers(5, 40))
def test_any_phrase_repeated_alone_is_a_loop(phrase: list[str], times: int) -> None:
    assert answer_fault(" ".join(phrase * times)) == (
        f"the answer repeats a phrase {times} times in a row: {times * len(phrase)} of its {times * len(phrase)} words"
    )


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_gets_an_answer(prompt: str, completion: str) -> None:
    assert request_fault(prompt) is None or any(char.isdigit() for char in request_fault(prompt) or "")
    assert answer_fault(completion) is None or any(char.isdigit() for char in answer_fault(completion) or "")


@settings(deadline=None)
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
)
def test_json_answers_are_never_judged_as_prose(value: object) -> None:
    assert answer_fault(json.dumps({"value": value}, indent=1)) is None
