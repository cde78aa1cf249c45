"""Which answers count as better than which."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.dataset.preferences import build_pairs
from ftassets.domain.evaluation.answer_form import Classification, ToolCall
from ftassets.domain.traffic.exchange import Exchange, Feedback, Reviewed

pytestmark = pytest.mark.models

ON, OFF, DIM = '{"intent": "on"}', '{"intent": "off"}', '{"intent": "dim"}'
_numbers = count()


def said(
    answer: str, rating: str | None = None, correction: str | None = None, prompt: str = "lights on", user: str = "u", at: float = 1.0
) -> Reviewed:
    name = f"r{next(_numbers):05}"
    exchange = Exchange(name, "voice", "v1", user, prompt, "[]", answer, 200, at, 1.0, None, None, None, 5.0)
    return Reviewed(exchange, Feedback(name, 2.0, rating, correction))


def test_a_correction_is_better_than_what_it_corrects() -> None:
    reviewed = said(OFF, "down", ON)
    (pair,), dropped = build_pairs([reviewed], [], 9, ToolCall())
    assert dropped == []
    assert (pair.prompt, pair.chosen, pair.rejected, pair.source) == ("lights on", ON, OFF, "correction")
    assert (pair.request_id, pair.user, pair.at, pair.version, pair.weight) == (reviewed.exchange.id, "u", 1.0, "v1", 5.0)


def test_an_answer_rated_up_is_better_than_one_rated_down_to_the_same_prompt() -> None:
    rated_up, rated_down = said(ON, "up", prompt="Lights  ON", user="a"), said(OFF, "down", user="b", at=3.0)
    (pair,), _ = build_pairs([rated_up, rated_down], [], 9, ToolCall())
    assert (pair.chosen, pair.rejected, pair.source) == (ON, OFF, "thumbs")
    assert (pair.request_id, pair.user, pair.at) == (rated_down.exchange.id, "b", 3.0)


@pytest.mark.parametrize(
    "reviewed",
    [
        [said(ON, "up"), said(OFF)],  # the other was not rated down
        [said(ON, "up"), said(OFF, "up")],
        [said(OFF, "down"), said(DIM, "down")],
        [said(ON, "up"), said(OFF, "down", prompt="lights off")],
        [said(ON, "up"), said('{"intent":"on"}', "down")],  # the same answer
        [],
    ],
)
def test_without_a_rejection_of_another_answer_there_is_no_pair(reviewed: list[Reviewed]) -> None:
    assert build_pairs(reviewed, [], 9, ToolCall()) == ([], [])


@pytest.mark.parametrize(
    ("reviewed", "reason"),
    [
        (said('{"a": 1, "b": 2}', None, '{"b":2, "a":1}'), "same text as the answer"),
        (said(OFF, None, "turn it on"), "not a JSON object"),
        (said(" ", None, ON), "no answer to reject"),
        (said(OFF, None, ON, prompt="GOLDEN  prompt"), "golden"),
        (said("x" * 20_001, None, ON), "at most 20000"),
    ],
)
def test_a_correction_that_makes_no_pair_is_dropped_with_its_reason(reviewed: Reviewed, reason: str) -> None:
    pairs, (dropped,) = build_pairs([reviewed], ["golden prompt"], 9, ToolCall())
    assert pairs == []
    assert reason in dropped.reason
    assert dropped.where == f"preferences:{reviewed.exchange.id}"


def test_an_answer_that_is_no_json_can_be_rejected() -> None:
    (pair,), _ = build_pairs([said("sure, it is on", None, ON)], [], 9, ToolCall())
    assert pair.rejected == "sure, it is on"


def test_the_same_pair_counts_once() -> None:
    pairs, dropped = build_pairs([said(OFF, None, ON), said(OFF, None, '{"intent":"on"}', prompt="LIGHTS on", user="x")], [], 9, ToolCall())
    assert (len(pairs), [d.reason for d in dropped]) == (1, ["the same pair exists already"])


def test_one_user_gets_no_more_than_their_cap() -> None:
    flood = [said(OFF, None, ON, prompt=f"prompt {n}", user="bad", at=float(n)) for n in range(5)]
    pairs, dropped = build_pairs([*flood, said(OFF, None, ON, user="good", at=9.0)], [], 2, ToolCall())
    assert [pair.prompt for pair in pairs] == ["prompt 0", "prompt 1", "lights on"]
    assert {d.reason for d in dropped} == {"more than 2 pairs of one user"}


def test_the_cap_counts_for_who_likes_as_for_who_dislikes() -> None:
    pairs, dropped = [], []
    for n in range(3):
        pairs += [said(ON, "up", prompt=f"p{n}", user="bad")]
        dropped += [said(OFF, "down", prompt=f"p{n}", user=f"someone {n}")]
    made, over = build_pairs([*pairs, *dropped], [], 1, ToolCall())
    assert (len(made), len(over)) == (1, 2)


def test_many_votes_on_one_prompt_make_few_pairs() -> None:
    votes = [said(ON, "up") for _ in range(50)] + [said(answer, "down") for answer in (OFF, DIM) for _ in range(50)]
    pairs, dropped = build_pairs(votes, [], 99, ToolCall())
    assert ({(p.chosen, p.rejected) for p in pairs}, len(pairs), dropped) == ({(ON, OFF), (ON, DIM)}, 2, [])


ANSWERS = st.sampled_from([ON, '{"intent":"on"}', OFF, DIM, "", "no json"])
REVIEWED = st.builds(
    said,
    ANSWERS,
    st.sampled_from(["up", "down", None]),
    st.none() | ANSWERS,
    st.sampled_from(["a", "A ", "b", "gold"]),
    st.sampled_from("uvw"),
)


@given(st.lists(REVIEWED, max_size=25), st.integers(0, 3))
@settings(deadline=None)
def test_whatever_users_say_no_rule_is_broken(reviewed: list[Reviewed], cap: int) -> None:
    pairs, _ = build_pairs(reviewed, ["gold"], cap, ToolCall())
    rejected = {r.exchange.id for r in reviewed if r.feedback.correction or r.feedback.rating == "down"}
    assert {pair.request_id for pair in pairs} <= rejected
    assert all(pair.prompt != "gold" and pair.chosen != pair.rejected for pair in pairs)
    for user in "uvw":
        assert sum(pair.user == user for pair in pairs) <= cap
    assert build_pairs(list(reversed(reviewed)), ["gold"], cap, ToolCall())[0] == pairs


def test_a_preferred_label_is_a_known_one_in_the_known_spelling() -> None:
    queues = Classification(frozenset({"billing", "account"}))
    wrong = said("account", None, "biling", prompt="another")
    (pair,), (dropped,) = build_pairs([said("account", None, "BILLING"), wrong], [], 9, queues)
    assert (pair.chosen, pair.rejected) == ("billing", "account")
    assert dropped.reason == "the preferred answer is an unknown label: 'biling'"
