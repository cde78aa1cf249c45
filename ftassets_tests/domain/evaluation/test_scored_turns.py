import json

import pytest

from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import conversation
from ftassets.domain.dataset.rows import Example
from ftassets.domain.dataset.written import GOLDEN, refusals, written
from ftassets.domain.evaluation.scored_turns import Turn, conversation_of, last_answers, scored_turns, turn_number


def row(*messages: tuple[str, str], answer: str = "bye", row_id: str = "c") -> Example:
    said = conversation([{"role": role, "content": text} for role, text in messages])
    return Example(id=row_id, messages=said, completion=answer, slice="hard", tools='[{"type": "function"}]')


LONG = row(("system", "s"), ("user", "hi"), ("assistant", "hello"), ("user", "5 minutes"), ("assistant", "set"), ("user", "thanks"))


def test_each_answer_is_asked_with_the_expected_ones_before_it() -> None:
    turns = scored_turns(LONG)
    assert [(turn.id, len(turn.messages), turn.completion) for turn in turns] == [("c#1", 2, "hello"), ("c#2", 4, "set"), ("c#3", 6, "bye")]
    assert all(turn.messages == LONG.messages[: len(turn.messages)] for turn in turns)
    assert {conversation_of(turn) for turn in turns} == {"c"}
    assert {(turn.slice, turn.tools) for turn in turns} == {("hard", LONG.tools)}
    assert [turn_number(turn.id) for turn in turns] == [1, 2, 3]
    assert last_answers([*turns, row(("user", "x"), row_id="d")]) == [turns[-1], row(("user", "x"), row_id="d")]


def test_a_row_of_one_answer_stays_as_it_is() -> None:
    one = row(("user", "hi"))
    assert scored_turns(one) == [one]
    assert conversation_of(one) is None


def test_answers_that_nobody_asked_for_or_that_call_tools_are_not_scored() -> None:
    greeted = row(("assistant", "welcome"), ("user", "hi"), ("assistant", "hello"), ("assistant", "still there?"), ("user", "yes"))
    assert [turn.completion for turn in scored_turns(greeted)] == ["hello", "bye"]
    calls = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "w", "arguments": "{}"}}]},
        {"role": "tool", "content": "rain", "tool_call_id": "1"},
        {"role": "assistant", "content": "it rains"},
        {"role": "user", "content": "and now?"},
    ]
    called = Example(id="c", messages=conversation(calls), completion="sun")
    assert [(turn.completion, len(turn.messages)) for turn in scored_turns(called)] == [("it rains", 3), ("sun", 5)]


@pytest.mark.parametrize(("turns", "refused"), [("last", []), ("every", ["the expected answer of c#1 is not a JSON object"])])
def test_each_scored_answer_must_have_the_form(turns: str, refused: list[str]) -> None:
    text = json.dumps(
        {
            "id": "c",
            "messages": [
                {"role": "user", "content": "a timer"},
                {"role": "assistant", "content": "for how long?"},
                {"role": "user", "content": "5 minutes"},
                {"role": "assistant", "content": '{"intent": "timer"}'},
            ],
        }
    )
    loop = LoopConfig.model_validate(
        {"name": "l", "base_model": "m", "task": {"system_prompt": "x"}, "golden_set": "g", "dataset": {"seed": "s"}, "golden_turns": turns,
         "gates": [{"metric": "exact_match", "better_than": "production"}]}
    )  # fmt: skip
    assert [(refusal.text, refusal.line) for refusal in refusals(loop, written(text, GOLDEN))] == [(each, 1) for each in refused]


def test_a_turn_is_a_row_like_any_other() -> None:
    assert all(isinstance(turn, Turn) and Turn.model_validate(turn.model_dump()) == turn for turn in scored_turns(LONG))
