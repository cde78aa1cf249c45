"""Which answers count as better than which."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.config.loop import Task
from ftassets.domain.chat import Asked, Message, texts
from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.preference_rules import scrubbed, without_control_tokens
from ftassets.domain.dataset.preferences import Pair, build_pairs, trl_row
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback, Reviewed
from ftassets_tests.domain.dataset.curation.sample import config

pytestmark = pytest.mark.models

ON, OFF, DIM = '{"intent": "on"}', '{"intent": "off"}', '{"intent": "dim"}'
_numbers = count()


def golden_row(asked: Asked, answer: str = ON) -> Example:
    return Example(id="g", messages=asked.messages, completion=answer)


def pairs_of(
    reviewed: Sequence[Reviewed], golden: Iterable[str], cap: int, task: dict[str, Any] | None = None, **dataset: Any
) -> tuple[list[Pair], list[Quarantined]]:
    loop = config(max_rows_per_user=max(cap, 1), **dataset)
    if task:
        loop = loop.model_copy(update={"task": Task.model_validate({"system_prompt": "s", **task})})
    return build_pairs(reviewed, [golden_row(Asked.of(text)) for text in golden], loop)


def said(
    answer: str,
    rating: str | None = None,
    correction: str | None = None,
    prompt: str = "lights on",
    user: str = "u",
    at: float = 1.0,
    before: Sequence[dict] = (),
    tools: Sequence[dict] = (),
) -> Reviewed:
    name = f"r{next(_numbers):05}"
    messages = [*before, {"role": "user", "content": prompt}]
    request = json.dumps({"messages": messages, "tools": tools} if tools else messages)
    exchange = Exchange(name, "voice", "v1", user, prompt, request, answer, 200, at, 1.0, None, None, None, 5.0)
    return Reviewed(exchange, Feedback(name, 2.0, rating, correction))


def test_a_correction_is_better_than_what_it_corrects() -> None:
    reviewed = said(OFF, "down", ON)
    (pair,), dropped = pairs_of([reviewed], [], 9)
    assert dropped == []
    assert (pair.prompt, pair.chosen, pair.rejected, pair.source) == ("lights on", ON, OFF, "correction")
    assert (pair.request_id, pair.user, pair.at, pair.version, pair.weight) == (reviewed.exchange.id, "u", 1.0, "v1", 5.0)


@pytest.mark.parametrize("rating", ["up", "down", None])
def test_a_correction_makes_its_pair_whatever_the_thumb(rating: str | None) -> None:
    (pair,), _ = pairs_of([said(OFF, rating, ON)], [], 9)
    assert (pair.chosen, pair.rejected, pair.source) == (ON, OFF, "correction")


def test_an_answer_rated_up_is_better_than_one_rated_down_to_the_same_prompt() -> None:
    rated_up, rated_down = said(ON, "up", prompt="Lights  ON", user="a"), said(OFF, "down", user="b", at=3.0)
    (pair,), _ = pairs_of([rated_up, rated_down], [], 9)
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
    assert pairs_of(reviewed, [], 9) == ([], [])


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
    pairs, (dropped,) = pairs_of([reviewed], ["golden prompt"], 9)
    assert pairs == []
    assert reason in dropped.reason
    assert dropped.where == f"preferences:{reviewed.exchange.id}"


def test_an_answer_that_is_no_json_can_be_rejected() -> None:
    (pair,), _ = pairs_of([said("sure, it is on", None, ON)], [], 9)
    assert pair.rejected == "sure, it is on"


def test_an_answer_that_was_cut_is_not_preferred() -> None:
    cut, whole = "The parcel is on its", "It is lost."
    up, down = said(cut, "up", user="a"), said(whole, "down", user="b")
    pairs, _ = pairs_of([up, down], [], 9, {"type": "text"})
    assert [pair.chosen for pair in pairs] == [cut]
    ended = Reviewed(replace(up.exchange, well_formed=False), up.feedback)
    pairs, (dropped,) = pairs_of([ended, down], [], 9, {"type": "text"})
    assert (pairs, dropped.reason) == ([], "the answer rated up was cut at the token limit")


def test_the_same_pair_counts_once() -> None:
    pairs, dropped = pairs_of([said(OFF, None, ON), said(OFF, None, '{"intent":"on"}', prompt="LIGHTS on", user="x")], [], 9)
    assert (len(pairs), [d.reason for d in dropped]) == (1, ["the same pair exists already"])


def test_one_user_gets_no_more_than_their_cap() -> None:
    flood = [said(OFF, None, ON, prompt=f"prompt {n}", user="bad", at=float(n)) for n in range(5)]
    pairs, dropped = pairs_of([*flood, said(OFF, None, ON, user="good", at=9.0)], [], 2)
    assert [pair.prompt for pair in pairs] == ["prompt 0", "prompt 1", "lights on"]
    assert {d.reason for d in dropped} == {"more than 2 pairs of one user"}


def test_the_cap_counts_for_who_likes_as_for_who_dislikes() -> None:
    pairs, dropped = [], []
    for n in range(3):
        pairs += [said(ON, "up", prompt=f"p{n}", user="bad")]
        dropped += [said(OFF, "down", prompt=f"p{n}", user=f"someone {n}")]
    made, over = pairs_of([*pairs, *dropped], [], 1)
    assert (len(made), len(over)) == (1, 2)


def test_many_votes_on_one_prompt_make_few_pairs() -> None:
    votes = [said(ON, "up") for _ in range(50)] + [said(answer, "down") for answer in (OFF, DIM) for _ in range(50)]
    pairs, dropped = pairs_of(votes, [], 99)
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


@given(st.lists(REVIEWED, max_size=25), st.integers(1, 3))
@settings(deadline=None)
def test_whatever_users_say_no_rule_is_broken(reviewed: list[Reviewed], cap: int) -> None:
    pairs, _ = pairs_of(reviewed, ["gold"], cap)
    rejected = {r.exchange.id for r in reviewed if r.feedback.correction or r.feedback.rating == "down"}
    assert {pair.request_id for pair in pairs} <= rejected
    assert all(pair.prompt != "gold" and pair.chosen != pair.rejected for pair in pairs)
    for user in "uvw":
        assert sum(pair.user == user for pair in pairs) <= cap
    assert pairs_of(list(reversed(reviewed)), ["gold"], cap)[0] == pairs


def test_a_preferred_label_is_a_known_one_in_the_known_spelling() -> None:
    queues = {"type": "classification", "labels": ["billing", "account"]}
    wrong = said("account", None, "biling", prompt="another")
    (pair,), (dropped,) = pairs_of([said("account", None, "BILLING"), wrong], [], 9, queues)
    assert (pair.chosen, pair.rejected) == ("billing", "account")
    assert dropped.reason == "the preferred answer is an unknown label: 'biling'"


OFFER = ({"role": "user", "content": "My lamp is broken"}, {"role": "assistant", "content": "Do you want a refund?"})
PLAN = ({"role": "user", "content": "End my contract"}, {"role": "assistant", "content": "Shall I cancel it?"})
TOOLS = ({"type": "function", "function": {"name": "refund"}},)


def test_the_same_last_words_of_two_conversations_make_no_pair() -> None:
    thumbs = [said(ON, "up", prompt="yes", before=OFFER), said(OFF, "down", prompt="yes", before=PLAN)]
    assert pairs_of(thumbs, [], 9) == ([], [])
    assert pairs_of([said(ON, "up", prompt="yes", tools=TOOLS), said(OFF, "down", prompt="yes")], [], 9) == ([], [])
    alike = [said(ON, "up", prompt="Yes", before=OFFER, tools=TOOLS), said(OFF, "down", prompt="yes", before=OFFER, tools=TOOLS)]
    (pair,), _ = pairs_of(alike, ["yes"], 9)  # a golden "yes" is another request
    assert (texts(pair.messages), json.loads(pair.tools or "")) == (["My lamp is broken", "Do you want a refund?", "Yes"], [*TOOLS])
    (cut,), _ = pairs_of(alike, [], 9, context="last_turn")
    assert texts(cut.messages) == ["Yes"]


def test_corrections_of_the_same_words_in_two_conversations_are_two_pairs_and_golden_ones_are_told_by_the_conversation() -> None:
    corrected = [said(OFF, None, ON, prompt="yes", before=before) for before in (OFFER, PLAN)]
    assert len(pairs_of(corrected, [], 9)[0]) == 2
    roles = [("user", OFFER[0]["content"]), ("assistant", OFFER[1]["content"]), ("user", "YES")]
    golden = Asked(messages=tuple(Message(role=role, content=text) for role, text in roles))  # type: ignore[arg-type]
    (left,), (dropped,) = build_pairs(corrected, [golden_row(golden)], config())
    assert left.messages[0].content == "End my contract"
    assert dropped.reason == "is golden row g"


TAUGHT = ({"role": "user", "content": "where is my parcel of last week"}, {"role": "assistant", "content": ON})


@pytest.mark.parametrize(
    "reviewed",
    [
        said(OFF, None, DIM, prompt="Where is my parcel of last week"),
        said(OFF, None, DIM, prompt="where is my parcel of last week?", before=[{"role": "system", "content": "10:01"}], tools=TOOLS),
        said(OFF, None, DIM, prompt="where is my parcel of last week", before=OFFER),
        said(OFF, None, DIM, prompt="and then", before=TAUGHT),
        said(OFF, None, ON, prompt="where is the parcel of last week"),
    ],
)  # fmt: skip
def test_a_pair_that_gives_a_golden_row_away_is_dropped_as_in_curation(reviewed: Reviewed) -> None:
    pairs, (dropped,) = pairs_of([reviewed], ["where is my parcel of last week"], 9, jaccard=0.5)
    assert pairs == []
    assert "golden row g" in dropped.reason


def test_a_conversation_that_is_not_text_is_quarantined() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    pairs, (dropped,) = pairs_of([said(OFF, None, ON, before=[image])], [], 9)
    assert pairs == []
    assert "image_url" in dropped.reason


def test_trl_takes_the_pairs_as_conversations() -> None:
    from trl.data_utils import is_conversational

    (pair,), _ = pairs_of([said(OFF, None, ON, prompt="yes", before=OFFER, tools=TOOLS)], [], 9)
    row = trl_row(pair, "Be brief.")
    assert is_conversational(row)
    assert [message["role"] for message in row["prompt"]] == ["system", "user", "assistant", "user"]
    assert (row["chosen"], row["rejected"]) == ([{"role": "assistant", "content": ON}], [{"role": "assistant", "content": OFF}])
    assert row["tools"] == [*TOOLS]


def test_pairs_are_scrubbed_by_the_rules_of_curation() -> None:
    given, _ = pairs_of([said(OFF, None, '{"intent": "Mail", "to": "ann@example.com"}', prompt="write to ann@example.com")], [], 9)
    (pair,), dropped = scrubbed(given, config())
    assert (pair.prompt, json.loads(pair.chosen)["to"], dropped) == ("write to <EMAIL>", "<EMAIL>", [])
    assert scrubbed(given, config(skip=["pii"])) == (given, [])
    kept, (refused,) = scrubbed(given, config(pii="drop"))
    assert (kept, refused.reason, refused.content) == ([], "personal data: EMAIL", "")
    tool = '[{"type": "function", "function": {"name": "ann@example.com"}}]'
    kept, (refused,) = scrubbed([pair.model_copy(update={"tools": tool})], config())
    assert (kept, refused.reason) == ([], "personal data in the name of a tool or call: EMAIL")


TOKENS = ControlTokens(("<|im_end|>", "</s>"), ("<tool_call>",))


@pytest.mark.parametrize(
    ("answer", "correction", "reason"),
    [
        ("off</s>", ON, "the rejected answer holds the control token '</s>'"),
        (OFF, '{"intent": "on<|im_end|>"}', "the preferred answer holds the control token '<|im_end|>'"),
        ("<tool_call>", ON, None),  # which models write as text
    ],
)
def test_pairs_whose_answers_hold_control_tokens_are_dropped(answer: str, correction: str, reason: str | None) -> None:
    given, _ = pairs_of([said(answer, None, correction)], [], 9)
    kept, dropped = without_control_tokens(given, TOKENS)
    assert (len(kept), [each.reason for each in dropped]) == ((1, []) if reason is None else (0, [reason]))
    assert without_control_tokens(given, None) == (given, [])


def test_control_tokens_in_the_request_of_a_pair_are_broken_for_trl() -> None:
    (pair,), _ = pairs_of([said(OFF, None, ON, prompt="on<|im_end|>")], [], 9)
    assert pair.prompt == "on<|im_end|>"
    row = trl_row(pair, "Be brief.", TOKENS)
    assert row["prompt"][-1]["content"] == "on< |im_end|>"
    assert row["chosen"][0]["content"] == ON


def test_feedback_with_an_excluded_tag_makes_no_pair() -> None:
    item = said(OFF, None, ON)
    item = replace(item, feedback=replace(item.feedback, tags="spam"))
    pairs, (dropped,) = pairs_of([item], [], 9, exclude_tags=["Spam"])
    assert pairs == []
    assert "the feedback has the tag 'spam'" in dropped.reason
