"""What becomes of each field of the chat API."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.gateway.chat_fields import CHAT_FIELDS, MEANINGS, Engine, check_names, treat
from ftassets.gateway.chat_request import ChatRequest
from ftassets.gateway.problems import Problem

VALUES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(0, 2), st.text(max_size=5), st.just({}), st.just([]))
GIVEN = st.dictionaries(st.sampled_from(sorted(CHAT_FIELDS)), VALUES)


def test_the_table_has_every_field_that_the_official_client_can_send_and_that_is_validated() -> None:
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    assert CHAT_FIELDS.keys() >= set(CompletionCreateParamsStreaming.__annotations__)
    assert CHAT_FIELDS.keys() == ChatRequest.model_fields.keys()


@given(GIVEN, st.sampled_from(["transformers", "endpoint"]), st.sampled_from([0.0, 0.7]))
def test_no_field_vanishes(given: dict[str, Any], engine: Engine, temperature: float) -> None:
    treated = told = None
    try:
        treated = treat(given, engine, temperature)
    except Problem as problem:
        told = problem
    if treated is None:
        assert told is not None
        assert told.param in given
        assert str(told).startswith(f"{told.param}: ")
        return
    for name, value in given.items():
        known = CHAT_FIELDS[name]
        harmless = value is None or value in known.nothing or name in treated.ignored or value == temperature
        handled = (known.transformers if engine == "transformers" else known.endpoint) == "gateway"
        assert handled or harmless or treated.passed[name] == value


def test_values_that_ask_for_nothing() -> None:
    taken = {"logprobs": False, "top_p": 1.0, "response_format": {"type": "text"}, "tool_choice": "auto", "presence_penalty": 0.0}
    assert treat(taken, "transformers", 0.7).passed == {}
    assert treat(taken, "endpoint", 0.7).passed == taken, "an endpoint may have other defaults"
    assert treat(taken, "endpoint", 0.7).steering == ()
    for refused in ({"logprobs": True}, {"top_logprobs": True}, {"parallel_tool_calls": 1}, {"top_p": 0.9}, {"temperature": 0.0}):
        with pytest.raises(Problem, match=next(iter(refused))):
            treat(refused, "transformers", 0.7)


def test_sampling_of_a_greedy_version() -> None:
    treated = treat({"temperature": 0, "top_p": 0.5, "seed": 7}, "transformers", 0.0)
    assert (treated.passed, treated.ignored) == ({}, ("top_p", "seed"))
    assert treat({"temperature": 0.3, "stop": ["x"]}, "endpoint", 0.0).steering == ("stop",)


def test_unknown_names_are_told_with_what_was_meant() -> None:
    check_names(CHAT_FIELDS)
    with pytest.raises(Problem, match="did you mean max_tokens"):
        check_names(["model", "max_token"])
    with pytest.raises(Problem, match="leave it out") as told:
        check_names(["x" * 1000])
    assert len(str(told.value)) < 200


def test_every_treatment_has_words() -> None:
    assert {each for field in CHAT_FIELDS.values() for each in (field.transformers, field.endpoint)} <= MEANINGS.keys()
