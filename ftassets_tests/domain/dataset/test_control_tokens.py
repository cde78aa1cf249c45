"""A text that a tokenizer reads as one of its control tokens makes no row."""

import json

import pytest

from ftassets.domain.chat import Message, ToolCall, question
from ftassets.domain.dataset.control_tokens import control_token, control_tokens, without_control_tokens
from ftassets.domain.dataset.rows import Example

END = "<|im_end|>"
TOKENIZER = {
    "added_tokens": [
        {"id": 0, "content": "<|im_start|>", "special": True},
        {"id": 1, "content": END, "special": True},
        {"id": 2, "content": "<tool_call>", "special": False},
    ]
}
TOKENS = control_tokens(TOKENIZER)
ESCAPED = r'{"x": "\u003c|im_end|\u003e"}'


def called(**fields: str) -> tuple[Message, ...]:
    call = ToolCall(**{"name": "f", **fields})
    return (*question("a"), Message(role="assistant", tool_calls=(call,)), Message(role="tool", content="b"))


def test_control_tokens_are_the_special_ones_of_a_tokenizer() -> None:
    assert TOKENS == ["<|im_start|>", END]
    assert control_tokens({"added_tokens": None}) == control_tokens({}) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": question(f"hello {END}")},
        {"completion": f"yes{END}"},
        {"messages": (Message(role="system", content=END), *question("a"))},
        {"messages": (*question("a"), Message(role="assistant", tool_calls=(ToolCall(name="f", arguments=json.dumps({"x": END})),)),
                      Message(role="tool", content="b"))},
        {"messages": (*question("a"), Message(role="tool", content=END))},
        {"messages": called(id=END)},
        {"messages": called(name=f"f{END}")},
        {"messages": called(arguments=ESCAPED)},
        {"messages": (*question("a"), Message(role="tool", content="b", tool_call_id=END))},
        {"tools": f"[{ESCAPED}]"},
        {"tools": json.dumps([{"function": {"description": END}}])},
    ],
)  # fmt: skip
def test_a_row_with_one_in_any_text_is_quarantined_by_name(fields: dict) -> None:
    good = Example(id="good", messages=question("what does <tool_call> mean?"), completion="it begins a call", source="seed")
    bad = Example(**{"id": "bad", "messages": question("a"), "completion": "b", "source": "seed", **fields})
    kept, (rejected,) = without_control_tokens([good, bad], TOKENS)
    assert kept == [good]
    assert rejected.where == "seed:bad"
    assert f"a text holds '{END}'" in rejected.reason
    assert control_token(good, good.completion, TOKENS) is None
    assert without_control_tokens([good, bad], []) == ([good, bad], [])
