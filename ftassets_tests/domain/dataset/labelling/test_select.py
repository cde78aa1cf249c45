"""Which requests are worth an annotator's time."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.dataset.labelling.select import PROVES, SHARES, Item, candidates, places, select, shortlist
from ftassets.domain.evaluation.answer_form import Text, ToolCall
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback

WORDS = ("lights", "heating", "music", "blinds", "vacuum", "coffee", "garage", "timer", "fan", "door", "window", "alarm")


def request(*turns: str, tools: list | None = None) -> str:
    messages = [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(turns)]
    return json.dumps({"messages": messages, "tools": tools} if tools else messages)


def exchange(name: str, version: str = "prod", answer: str = '{"intent": "on"}', status: int = 200) -> Exchange:
    return Exchange(
        name, "voice", version, "u", f"prompt of {name}", request(f"prompt of {name}"), answer, status, 1.0, 1.0, None, None, None, 1.0
    )


def item(number: int, why: str = "random", distance: float | None = None, prompt: str | None = None) -> Item:
    return Item(
        f"r{number:03}",
        request(prompt or f"{WORDS[number % 12]} {number} {WORDS[number // 12 % 12]}"),
        "{}",
        "prod",
        float(number),
        why,
        distance,
    )


def test_only_what_nobody_answered_for_is_a_candidate() -> None:
    log = [exchange(name) for name in ("new", "labelled", "rated_up", "corrected", "rated_down")] + [
        exchange("failed", status=502, answer="")
    ]
    feedback = {
        "rated_up": Feedback("rated_up", 1.0, "up", None),
        "corrected": Feedback("corrected", 1.0, "down", "{}"),
        "rated_down": Feedback("rated_down", 1.0, "down", None),
    }
    found = candidates(log, feedback, {"labelled"}, set(), {"new": 0.3, "rated_down": 0.1}, novel_above=0.2, form=ToolCall())
    assert [(i.request_id, i.why, i.distance) for i in found] == [("new", "novel", 0.3), ("rated_down", "disliked", 0.1)]


@pytest.mark.parametrize(
    ("fields", "rating", "failed"),
    [
        ({}, None, False),
        ({}, "down", True),
        ({"answer": "turned it on"}, None, True),
        ({"answer": "", "status": 502}, None, True),
        ({"answer": '{"intent": "o', "status": 499}, None, True),
    ],
)
def test_a_canary_fails_on_errors_on_what_cannot_be_parsed_and_on_thumbs_down(fields: dict, rating: str | None, failed: bool) -> None:
    said = {"q": Feedback("q", 1.0, rating, None)} if rating else {}
    (found,) = candidates([exchange("q", "canary", **fields)], said, set(), {"canary"}, {}, 0.0, ToolCall())
    assert (found.why == "failed") is failed
    assert all(i.why != "failed" for i in candidates([exchange("q", "prod", **fields)], said, set(), {"canary"}, {}, 0.0, ToolCall()))


def test_failures_come_first_then_the_farthest_then_what_was_disliked_then_a_random_sample() -> None:
    items = [item(n) for n in range(30)] + [item(30 + n, "novel", n / 10) for n in range(3)] + [item(33 + n, "failed") for n in range(2)]
    items += [item(35 + n, "disliked") for n in range(2)]
    chosen = select(items, 14)
    assert [i.request_id for i in chosen[:7]] == ["r034", "r033", "r032", "r031", "r030", "r036", "r035"]
    assert {i.why for i in chosen[7:]} == {"random"}
    assert select(items, 14, seed=1)[7:] != chosen[7:]


@pytest.mark.parametrize(
    ("available", "given"),
    [
        (dict.fromkeys(SHARES, 500), {"failed": 20, "conflict": 20, "novel": 80, "disliked": 40, "random": 40}),
        ({"novel": 500, "disliked": 500, "random": 500}, {"failed": 0, "conflict": 0, "novel": 100, "disliked": 50, "random": 50}),
        ({"disliked": 2, "random": 94}, {"failed": 0, "conflict": 0, "novel": 0, "disliked": 2, "random": 94}),
        ({"disliked": 2, "random": 5000}, {"failed": 0, "conflict": 0, "novel": 0, "disliked": 2, "random": 198}),
        ({}, dict.fromkeys(SHARES, 0)),
    ],
)
def test_a_batch_is_mixed_by_the_stated_shares(available: dict[str, int], given: dict[str, int]) -> None:
    assert places(available, 200) == given


def test_disliked_answers_are_in_a_batch_and_not_by_chance() -> None:
    items = [item(n) for n in range(90)] + [item(90 + n, "disliked") for n in range(2)]
    assert {"r090", "r091"} <= {one.request_id for one in select(items, 20)}


@given(st.dictionaries(st.sampled_from(list(SHARES)), st.integers(0, 300)), st.integers(0, 300))
def test_all_places_are_given_while_there_is_something_for_them(available: dict[str, int], limit: int) -> None:
    found = places(available, limit)
    assert sum(found.values()) == min(limit, sum(available.values()))
    assert all(0 <= found[kind] <= available.get(kind, 0) for kind in SHARES)


def test_each_kind_has_a_share_and_says_what_it_proves() -> None:
    assert SHARES.keys() == PROVES.keys()
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_near_identical_texts_take_one_place() -> None:
    flood = [item(n, "novel", 0.5, f"please set a kitchen timer for {n} minutes") for n in range(20)]
    shouted = item(50, "failed", prompt="PLEASE  set a kitchen timer for 3 minutes")
    other = item(51, "novel", 0.1, "lower the blinds in the study")
    assert [i.request_id for i in select([*flood, other, shouted], 10)] == ["r050", "r051"]
    assert len(select([item(1, prompt="on"), item(2, prompt="On"), item(3, prompt="off")], 10)) == 2  # shorter than a 5-gram


@given(st.integers(0, 40), st.integers(0, 60), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_choice_does_not_depend_on_the_order_and_keeps_the_limit(limit: int, size: int, chance: random.Random) -> None:
    items = [item(n, chance.choice(list(SHARES)), chance.random()) for n in range(size)]
    chosen = select(items, limit)
    chance.shuffle(items)
    assert select(items, limit) == chosen
    assert len(chosen) <= limit
    # a batch is chosen from a list that is shortened page by page
    shortened: list[Item] = []
    for start in range(0, size, 7):
        shortened = shortlist([*shortened, *items[start : start + 7]], 15)
    assert shortened == shortlist(items, 15)
    assert [i.why for i in chosen] == sorted((i.why for i in chosen), key=list(SHARES).index)


def test_in_a_text_task_any_answer_is_well_formed() -> None:
    log = [exchange("q", "canary", answer="turned it on")]
    (found,) = candidates(log, {}, set(), {"canary"}, {}, 0.0, Text())
    assert found.why == "random"


def test_the_same_last_words_of_two_conversations_take_two_places_and_what_is_not_text_none() -> None:
    def asked(name: str, stored: str) -> Item:
        return Item(name, stored, "{}", "prod", 1.0)

    lamp = ("My lamp is broken", "Do you want your money back?")
    plan = ("My contract ends in May", "Shall I cancel it for you?")
    image = json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
    items = [
        asked("a", request(*lamp, "yes")),
        asked("b", request(*plan, "yes")),
        asked("c", request(*lamp, "no, never")),
        asked("d", request(*lamp, "YES")),
        asked("e", request(lamp[0] + "!", lamp[1], "yes")),
        asked("f", request(*lamp, "yes", tools=[{"type": "function", "function": {"name": "refund"}}])),
        asked("g", image),
        asked("h", "[]"),
    ]
    chosen = {one.request_id for one in select(items, 10)}
    assert len(chosen) == 4
    assert {"b", "c", "f"} < chosen
