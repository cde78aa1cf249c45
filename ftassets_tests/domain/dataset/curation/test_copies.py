"""Conversations are copies when their last messages are near, and what stands before them too."""

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import Message, ToolCall
from ftassets.domain.dataset.curation import curate
from ftassets.domain.dataset.curation.answer_disagreement import doubt_answers
from ftassets.domain.dataset.curation.contamination import drop_contaminated
from ftassets.domain.dataset.curation.copies import requests
from ftassets.domain.dataset.curation.exact import drop_exact
from ftassets.domain.dataset.curation.label_disagreement import doubt_labels
from ftassets.domain.dataset.curation.length import check_length
from ftassets.domain.dataset.curation.near import drop_near
from ftassets.domain.dataset.curation.poisoning import drop_poisoners
from ftassets.domain.dataset.curation.quality import keep_good
from ftassets.domain.dataset.curation.semantic import drop_semantic
from ftassets.domain.dataset.curation.split import split
from ftassets.domain.dataset.curation.text import request_key
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import DIMENSIONS, LOOP, axis, config, pool, request, row, talk

SYSTEM = "You are the assistant of a parcel service. Be brief, be kind, never promise a date, and answer with one call as JSON only. " * 8
TOOLS = '[{"type": "function", "function": {"name": "track"}}]'
PARCEL = ("Where is the parcel I ordered in the shop last week?", "It is at the depot in Leeds. Shall it come to your door tomorrow?")
REFUND = ("The lamp came with a broken switch, what can you do?", "We are sorry for that. Would you like your money back on your card?")


def alone(count: int) -> np.ndarray:
    """The same vector for all: a cosine of 1 between any two."""
    return np.tile(axis(0), (count, 1))


def pairs(rows: list[Example], limit: float = 0.6) -> set[tuple[int, int]]:
    return {pair for left, right, _ in requests(rows).copies(limit) for pair in zip(left.tolist(), right.tolist(), strict=True)}


@pytest.mark.parametrize(
    ("one", "other", "copies"),
    [
        (talk(0, *PARCEL, "yes"), talk(1, *PARCEL, "no, cancel it"), False),
        (talk(0, *PARCEL, "yes"), talk(1, *REFUND, "yes"), False),
        (talk(0, *PARCEL, "yes"), talk(1, "yes"), False),
        (talk(0, *PARCEL, "yes"), talk(1, *PARCEL, "YES"), True),
        (talk(0, *PARCEL, "yes"), talk(1, PARCEL[0] + " Thanks", PARCEL[1], "yes"), True),
        (talk(0, *PARCEL, "yes", system=SYSTEM), talk(1, *REFUND, "yes", system=SYSTEM), False),
        (talk(0, *PARCEL, "yes", system=SYSTEM), talk(1, *PARCEL, "yes", system=SYSTEM + "!"), True),
        (talk(0, *PARCEL, "yes", system=SYSTEM), talk(1, *PARCEL, "yes"), False),
        (talk(0, "the lights in the kitchen, please"), talk(1, "the lights in the kitchen please"), True),
        (talk(0, "no"), talk(1, "on"), False),
    ],
)
def test_all_parts_of_two_requests_have_to_be_near(one: Example, other: Example, copies: bool) -> None:
    assert pairs([one, other]) == ({(0, 1)} if copies else set())
    assert drop_near(pool([one, other]), LOOP).dropped.keys() == ({1} if copies else set())
    given = pool([one, other], vectors=alone(2))
    if requests([one, other]).alone().all():  # of requests of one message the cosine alone decides
        copies = True
    assert drop_semantic(given, LOOP).dropped.keys() == ({1} if copies else set())
    assert split(pool([one, other], vectors=alone(2)), config(skip=["near"])).counts["groups"] == (1 if copies else 2)
    assert split(pool([one, other]), LOOP).counts["groups"] == (1 if pairs([one, other]) else 2)


def test_what_tools_there_are_is_part_of_the_request() -> None:
    plain, tooled = talk(0, "lights on"), talk(1, "lights on", tools='[{"type": "function", "function": {"name": "set_light"}}]')
    again = talk(2, "Lights on", tools='[{"function": {"name": "set_light"}, "type": "function"}]')
    other = talk(3, "lights on", tools='[{"type": "function", "function": {"name": "open_the_garage_door"}}]')
    assert drop_exact(pool([plain, tooled, again, other]), LOOP).dropped == {2: "same request as r0001"}
    assert pairs([plain, tooled, again, other]) == {(1, 2)}


def test_a_transcript_typed_by_a_user_is_another_request_than_the_conversation() -> None:
    typed = talk(0, "user: hi there\nassistant: hello\nuser: lights on")
    assert request_key(typed) != request_key(talk(1, "hi there", "hello", "lights on"))
    assert drop_exact(pool([typed, talk(1, "hi there", "hello", "lights on")]), LOOP).dropped == {}


def test_ids_of_tool_calls_do_not_make_another_request() -> None:
    def looked_up(number: int, call_id: str, result: str) -> Example:
        call = Message(role="assistant", tool_calls=(ToolCall(id=call_id, name="find", arguments='{"order": 7}'),))
        messages = (Message(role="user", content="where is it"), call, Message(role="tool", content=result, tool_call_id=call_id))
        return row(number).model_copy(update={"messages": messages})

    rows = [
        looked_up(0, "call_a1", "in Leeds"),
        looked_up(1, "call_b2", "in Leeds"),
        looked_up(2, "call_c3", "it was handed to a neighbour"),
    ]
    assert drop_exact(pool(rows), LOOP).dropped == {1: "same request as r0000"}
    assert pairs(rows) == {(0, 1)}  # the tool's result is the last message


def test_turns_of_one_conversation_stay_together_whatever_their_vectors() -> None:
    chat = [talk(0, PARCEL[0]), talk(1, *PARCEL, "yes"), talk(2, *PARCEL, "yes", "At nine?", "a bit later, please")]
    vectors = np.eye(DIMENSIONS)[: len(chat) + 1]
    outcome = split(pool([*chat, talk(3, *REFUND, "yes")], vectors=vectors), LOOP)
    assert sorted(map(sorted, filter(None, outcome.result.values()))) in ([[0, 1, 2], [3]], [[0, 1, 2, 3]])
    assert outcome.counts["groups"] == 2


def golden(*turns: str, intent: str = "On", system: str | None = None) -> list[Example]:
    return [talk(900, *turns, intent=intent, system=system)]


@pytest.mark.parametrize(
    ("one", "of", "reason"),
    [
        (talk(0, *PARCEL, "yes", intent="Off"), golden(*PARCEL, "yes"), "is golden row r0900"),
        (talk(0, *REFUND, "yes"), golden(*PARCEL, "yes"), None),
        (talk(0, *PARCEL, "no, cancel it"), golden(*PARCEL, "yes"), None),
        (talk(0, "turn the lights on", system=SYSTEM), golden("what time is it", system=SYSTEM), None),
        (talk(0, *PARCEL, "yes do it now"), golden(*PARCEL, "oh yes do it now and fast", intent="Off"), "is part of golden row r0900"),
        (talk(0, *REFUND, "yes do it now"), golden(*PARCEL, "oh yes do it now and fast", intent="Off"), None),
        (talk(0, *REFUND, "turn the lights on"), golden("turn the lights on", intent="Off"), "is golden row r0900"),
        (talk(0, *REFUND, "stop"), golden("stop", intent="Off"), None),
        (talk(0, *REFUND, "set a timer of nine minutes for my tea"), golden("set a timer of nine minutes for the tea"), "same answer"),
        (talk(0, "lights on", '{"intent": "On"}', "and off"), golden("Lights on"), "has question and answer of golden row r0900"),
        (talk(0, "lights on", '{"intent": "Off"}', "and off"), golden("Lights on"), None),
        (
            talk(0, "hi", "hello", *PARCEL, "yes", '{ "intent":"On" }', "thanks", system=SYSTEM),
            golden(*PARCEL, "yes"),
            "has question and answer of golden row r0900",
        ),
        (talk(0, *REFUND, "yes", '{"intent": "On"}', "thanks"), golden(*PARCEL, "yes"), None),
        (talk(0, "stop", system="It is 10:01.", intent="Off"), golden("stop", system=SYSTEM), "is golden row r0900"),
        (talk(0, "stop", tools=TOOLS, intent="Off"), golden("stop"), "is golden row r0900"),
        (talk(0, *PARCEL, "yes", intent="Off"), golden(*PARCEL, "yes", system=SYSTEM), "is golden row r0900"),
        (talk(0, *PARCEL, "yes", tools=TOOLS), golden(*PARCEL, "yes", system="Be kind."), "is golden row r0900"),
        (talk(0, *REFUND, "turn the lights on"), golden("turn the lights on", system=SYSTEM), "is golden row r0900"),
        (talk(0, *REFUND, "stop", system=SYSTEM), golden("stop", system=SYSTEM), None),
    ],
)
def test_a_row_gives_a_golden_conversation_away_by_the_same_rule(one: Example, of: list[Example], reason: str | None) -> None:
    found = drop_contaminated(pool([one], golden=of), LOOP).dropped.get(0)
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)
    if all(requests([row]).opening().all() for row in (one, *of)):
        return  # there a cosine says that they are copies
    known = drop_contaminated(pool([one], vectors=alone(1), golden=of, golden_vectors=alone(1)), LOOP).dropped.get(0)
    assert (known is None) == (reason is None)  # equal vectors change nothing where messages stand before the last one


def test_votes_on_other_turns_of_a_conversation_do_not_doubt_a_users_answer() -> None:
    others = [talk(n, *PARCEL, f"no, {request(n)}", intent="Off") for n in range(12)]
    yes = talk(50, *PARCEL, "yes", source="correction", user="u")
    assert doubt_labels(pool([*others, yes], vectors=alone(13)), LOOP).dropped == {}
    alike = [talk(n, PARCEL[0] + "!" * n, PARCEL[1], "yes", intent="Off") for n in range(12)]
    assert doubt_labels(pool([*alike, yes], vectors=alone(13)), LOOP).dropped.keys() == {12}


def test_answers_to_other_conversations_do_not_doubt_a_text() -> None:
    def text(number: int, *turns: str, answer: str, **fields: str) -> Example:
        return talk(number, *turns, **fields).model_copy(update={"completion": answer})

    loop = LOOP.model_copy(update={"task": LOOP.task.model_copy(update={"type": "text"})})
    mine = text(9, *PARCEL, "yes", answer="It comes tomorrow.", source="correction", user="u")
    refunds = [text(n, *REFUND, "yes", answer="The money is on its way to you.") for n in range(4)]
    assert doubt_answers(pool([*refunds, mine], vectors=alone(5)), loop).dropped == {}
    same = [text(n, *PARCEL, "yes", answer="The money is on its way to you.") for n in range(4)]
    assert doubt_answers(pool([*same, mine], vectors=alone(5)), loop).dropped.keys() == {4}


def test_the_same_word_in_many_conversations_is_no_flood() -> None:
    def rows(same: bool) -> list[Example]:
        opening = [PARCEL[0] + "!" * n if same else request(n) for n in range(30)]
        return [talk(n, opening[n], "Shall I?", "yes", source="thumbs_up", user="u") for n in range(30)]

    assert drop_poisoners(pool(rows(False)), LOOP).dropped == {}
    assert len(drop_poisoners(pool(rows(True)), LOOP).dropped) == 30


texts = st.sampled_from(["yes", "no", "yes please do", "yes please, do", *PARCEL, PARCEL[0] + "?", REFUND[0]])
rows_drawn = st.lists(st.tuples(st.none() | st.sampled_from([SYSTEM, SYSTEM[:-3], "Short."]), st.lists(texts, min_size=1, max_size=3)))


@settings(max_examples=60, deadline=None)
@given(rows_drawn)
def test_the_pairs_are_those_of_the_definition(drawn: list[tuple[str | None, list[str]]]) -> None:
    rows = [talk(n, *turns[: len(turns) - 1 + len(turns) % 2], system=system) for n, (system, turns) in enumerate(drawn)]

    def parts(row: Example) -> list[str]:
        system = row.messages[0].content or "" if row.messages[0].role == "system" else ""
        turns = [message for message in row.messages if message.role != "system"]
        return [system, "\n".join(f"{m.role}: {m.content}" for m in turns[:-1]), turns[-1].content or ""]

    def near(one: str, other: str) -> bool:
        one, other = (" ".join(text.lower().split()).rjust(5) if text else "" for text in (one, other))
        grams = [{text[start : start + 5] for start in range(len(text) - 4)} for text in (one, other)]
        return one == other or len(grams[0] & grams[1]) >= 0.6 * len(grams[0] | grams[1]) > 0

    wanted = {(i, j) for i, j in combinations(range(len(rows)), 2) if all(map(near, parts(rows[i]), parts(rows[j])))}
    assert pairs(rows) == wanted


def test_conversations_below_one_long_system_message_take_time_in_proportion() -> None:
    """4,000 of them with a bare yes or a question, of which no two are copies."""

    def seconds(count: int) -> float:
        rows = [
            talk(n, request(n), f"Shall I {request(n + 9999)}?", "yes" if n % 2 else request(n + 99999), system=SYSTEM)
            for n in range(count)
        ]
        begin = time.process_time()
        assert not drop_near(pool(rows), LOOP).dropped
        return time.process_time() - begin

    seconds(100)
    few, many = seconds(1000), seconds(4000)
    assert many < 8 * few


def test_conversations_go_through_all_steps() -> None:
    rows = [
        talk(n, request(n), f"Shall I {request(n + 99)}?", "yes" if n % 2 else "no", intent="Off" if n % 2 else "On") for n in range(60)
    ]
    curated = curate(rows, alone(60), golden(*PARCEL, "yes"), alone(1), {}, config(min_rows=10, skip=["language"]))
    assert curated.rows == 60


def test_a_bare_yes_is_long_enough_at_the_end_of_a_conversation_and_a_tools_result_not_too_long() -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(name="find"),))
    looked_up = (*talk(0, PARCEL[0]).messages, call, Message(role="tool", content='{"found":"' + "x" * 3000 + '"}'))
    rows = [talk(0, *PARCEL, "yes"), talk(1, "yes"), talk(2, "y" * 3000), row(3).model_copy(update={"messages": looked_up})]
    assert check_length(pool(rows), config(min_chars=30)).dropped.keys() == {1, 2}
    assert keep_good(pool(rows), LOOP).dropped.keys() == {2}  # the user's word is too long, the tool's is not looked at
