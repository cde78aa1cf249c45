"""No text of a user is read as a control token, and what holds none stays as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.chat import Asked, Chat, Message, ToolCall, chat, question, request_body
from ftassets.domain.dataset.control_tokens import ControlTokens, Escape, as_data, control_tokens, escape_of, tokens_in

END = "<|im_end|>"
TOKENIZER = {
    "added_tokens": [
        {"id": 0, "content": "<|im_start|>", "special": True},
        {"id": 1, "content": END, "special": True},
        {"id": 2, "content": "<tool_call>", "special": False},
    ]
}
CONFIG = {
    "added_tokens_decoder": {"1": {"content": END, "special": True}, "5": {"content": "<pad>", "special": True}},
    "eos_token": {"content": "</s>"},
    "bos_token": None,
    "unk_token": "<unk>",
    "additional_special_tokens": ["<a>", {"content": "<b>"}],
    "extra_special_tokens": {"image_token": "<c>"},
}
ESCAPE = escape_of(control_tokens(TOKENIZER))
HIDDEN = r'{"x": "\u003c|im_end|\u003e"}'
BROKEN = "< |im_end|>"


def called(**fields: str) -> tuple[Message, ...]:
    call = ToolCall(**{"name": "f", **fields})
    return (*question("a"), Message(role="assistant", tool_calls=(call,)), Message(role="tool", content="b"))


def test_control_tokens_are_the_special_ones_of_a_tokenizers_files() -> None:
    assert control_tokens(TOKENIZER) == (("<|im_start|>", END), ())
    assert control_tokens(TOKENIZER, CONFIG) == (("<|im_start|>", END, "<pad>", "</s>", "<unk>", "<a>", "<b>", "<c>"), ())
    assert control_tokens({"added_tokens": None}) == control_tokens({}) == control_tokens({}, {}) == ((), ())


# as they stand in the templates of Zephyr, Llama 2, Qwen 2.5, DeepSeek V3 and, with a token of one's own, anything else
@pytest.mark.parametrize(
    ("template", "markers"),
    [
        ("{{ '<|user|>\n' + m['content'] + eos_token }}{{ '<|assistant|>' }}", ("<|assistant|>", "<|user|>")),
        (
            "{{ bos_token + '[INST] <<SYS>>\n' + s + '\n<</SYS>>' + m['content'] + ' [/INST]' }}",
            ("<</SYS>>", "<<SYS>>", "[/INST]", "[INST]"),
        ),
        ("<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response>", ("</tool_response>", "<tool_response>")),
        ("{{ '<｜User｜>' + m['content'] + '<｜Assistant｜>' }}", ("<｜Assistant｜>", "<｜User｜>")),
        ("{{ m[0] < 3 }}<tool_call>{% if a < b and c > d %}{{ x['INST'] }}{% endif %}", ("<tool_call>",)),
        ("", ()),
    ],
)
def test_markers_are_what_else_the_template_writes(template: str, markers: tuple[str, ...]) -> None:
    assert control_tokens(TOKENIZER, {}, template) == (("<|im_start|>", END), markers)
    named = {"chat_template": [{"name": "default", "template": template}]}
    for config in (named, {"chat_template": template}):
        assert control_tokens(TOKENIZER, config).markers == markers


def test_a_token_that_is_written_like_a_control_token_is_a_marker() -> None:
    """DeepSeek's roles are not marked as special; <think> and <tool_call> are words that models write."""
    names = ("<｜User｜>", "<｜Assistant｜>", "<|user|>", "<think>", "</tool_call>", "<fim>")
    found = control_tokens({"added_tokens": [{"content": name, "special": False} for name in names]})
    assert found == ((), ("<|user|>", "<｜Assistant｜>", "<｜User｜>"))
    assert Escape(found).text("hi <|user|> <think>") == "hi < |user|> <think>"
    assert Escape(found).answer("hi <|user|> <think>") == "hi <|user|> <think>"


@pytest.mark.parametrize(
    "asked",
    [
        Asked(messages=question(f"hello {END}")),
        Asked(messages=(Message(role="system", content=END), *question("a"))),
        Asked(messages=called(arguments=json.dumps({"x": END}))),
        Asked(messages=called(arguments=json.dumps({END: 1}))),
        Asked(messages=(*question("a"), Message(role="tool", content=END))),
        Asked(messages=called(id=END)),
        Asked(messages=called(name=f"f{END}")),
        Asked(messages=called(arguments=HIDDEN)),
        Asked(messages=(*question("a"), Message(role="tool", content="b", tool_call_id=END))),
        Asked(messages=question("a"), tools=f"[{HIDDEN}]"),
        Asked(messages=question("a"), tools=json.dumps([{"function": {"description": END, "parameters": {END: {}}}}])),
    ],
)
def test_a_control_token_is_found_and_broken_wherever_it_is(asked: Asked) -> None:
    assert tokens_in(asked, ESCAPE) == [END]
    plain = ESCAPE.chat(chat("be brief", asked))
    assert END not in json.dumps(plain, ensure_ascii=False)
    assert BROKEN in json.dumps(plain, ensure_ascii=False)
    body = request_body("be brief", asked)
    sent = ESCAPE.chat(Chat(body["messages"], body.get("tools")))
    for message in sent.messages:  # as a model server reads them
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert sent == plain


def test_what_holds_none_stays_as_it_is() -> None:
    asked = Asked(messages=called(arguments='{"a":   1.0}'), tools="[{}]")
    assert tokens_in(asked, ESCAPE) == []
    body = request_body("what does <tool_call> mean?", asked)
    assert ESCAPE.chat(Chat(body["messages"], body["tools"])) == Chat(body["messages"], body["tools"])
    odd = Chat([{"role": "user", "content": None, "tool_calls": 5}, {"role": "user", "tool_calls": None, "content": ["x"]}], None)
    assert ESCAPE.chat(odd) == odd
    assert Escape(ControlTokens(())).text(END) == END


@given(st.lists(st.text("<|>a ", min_size=1, max_size=4), max_size=5), st.lists(st.text("<|>a \ufffd", max_size=6), max_size=6))
def test_no_token_is_left_and_only_spaces_are_put_in(tokens: list[str], parts: list[str]) -> None:
    tokens = [token for token in tokens if len(token.strip()) > 1 or token == "a"]
    text = "".join(part + token for part, token in zip(parts, tokens * 6, strict=False))
    broken = Escape(ControlTokens(tuple(tokens))).text(text)
    assert not any(token in broken for token in tokens)
    kept = text.replace("a", "\ufffd") if "a" in tokens else text
    assert broken.replace(" ", "") == kept.replace(" ", "")  # no other character is put in
    assert (broken == text) == (not any(token in text for token in tokens))


MARKS = ("<|im_end|>", "<｜User｜>", "</s>", "<s>", "<bos>", "<start_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<tool_call>")


@given(st.lists(st.sampled_from((*MARKS, "<", "|", ">", "[", "a", "\\", '"', "\n", "é")), max_size=12))
def test_data_for_a_model_of_unknown_tokenizer_means_the_same_and_holds_no_token(parts: list[str]) -> None:
    value = {"".join(parts): ["".join(parts), 1, None]}
    text = as_data(value)
    assert json.loads(text) == value
    assert not any(mark in text for mark in MARKS)
