"""The same conversation is the same tokens in training, evaluation and serving, whatever the chat template."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import Asked, Message, ToolCall, chat, conversation, question, request_body
from ftassets.domain.dataset.control_tokens import control_tokens
from ftassets.gateway.chat import _as_read
from ftassets.testing.tiny_model import TEMPLATE, make_tiny_model
from ftassets.workers.chat_template import FOLD_SYSTEM, NoTemplate, prompt_ids, taught, with_system_role

pytestmark = pytest.mark.models

SYSTEM = "Answer as JSON."
# in the forms of well-known families: tools as JSON, no system role, a system message of its own, thinking in earlier turns cut
WITH_TOOLS = (
    "{% if tools %}{{ 'tools: ' + tools | tojson + '\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}{% for c in m.tool_calls or [] %}"
    "{% for k, v in c.function.arguments.items() %}{{ c.function.name + ' ' + k + '=' + v | string }}{% endfor %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '<start>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim + '<end>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start>model\n' }}{% endif %}"
)
SILENT_SYSTEM = NO_SYSTEM.replace("{{ raise_exception('System role not supported') }}", "{% set messages = messages[1:] %}")
DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nI am Tiny<|im_end|>\n' }}{% endif %}" + TEMPLATE
THINKING = TEMPLATE.replace(
    "message['content'] + '<|im_end|>\n'",
    "('<think>\n\n</think>\n\n' if message.role == 'assistant' and loop.last else '') + message['content'] + '<|im_end|>\n'",
)
TEMPLATES = {
    "chatml": TEMPLATE,
    "with tools": WITH_TOOLS,
    "no system role": NO_SYSTEM,
    "system message dropped": SILENT_SYSTEM,
    "default system message": DEFAULT_SYSTEM,
    "empty thinking before the last answer": THINKING,
}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(make_tiny_model(tmp_path_factory.mktemp("tiny") / "base"))


def served(tokenizer: Any, body: dict[str, Any]) -> list[int]:
    """Token ids of a request, as `transformers serve` makes them: its own code on the body that the gateway sends."""
    from transformers.cli.serving.utils import BaseHandler, Modality

    sent = json.loads(json.dumps({**body, "messages": _as_read(body["messages"])}))
    messages = BaseHandler.get_processor_inputs_from_messages(sent["messages"], Modality.LLM)
    tools = sent.get("tools")
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tools=tools, return_dict=True, tokenize=True)["input_ids"]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@given(turns=st.lists(TEXT, min_size=1, max_size=5), system=st.none() | TEXT, answer=TEXT)
@settings(max_examples=15, deadline=None)
def test_training_evaluation_and_serving_read_the_same_tokens(
    tokenizer: Any, template: str, turns: list[str], system: str | None, answer: str
) -> None:
    tokenizer.chat_template = template
    tokenizer.chat_template = with_system_role(tokenizer)
    turns = turns if len(turns) % 2 else turns[1:]  # the last one is the user's
    client = [{"role": "system", "content": system}] if system else []
    client += [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)]
    asked = Asked(messages=conversation(client, as_read=True))

    trained = taught(tokenizer, SYSTEM, asked, answer)
    assert trained.ids[: trained.start] == prompt_ids(tokenizer, chat(SYSTEM, asked))
    body = {"messages": client if system else [{"role": "system", "content": SYSTEM}, *client]}  # as the gateway completes it
    assert served(tokenizer, body) == trained.ids[: trained.start]
    assert served(tokenizer, request_body(SYSTEM, asked)) == trained.ids[: trained.start]
    text = tokenizer.decode(trained.ids)
    assert all(said.strip() in text for said in [*turns, system or SYSTEM])
    assert tokenizer.decode(trained.ids[trained.start :]).startswith(answer.strip())


def test_calls_of_tools_and_their_results_are_read_the_same(tokenizer: Any) -> None:
    tokenizer.chat_template = WITH_TOOLS
    tools = [{"type": "function", "function": {"name": "find_order", "parameters": {}}}]
    call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": 7}'}}
    client = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "where is"}, {"type": "text", "text": "my order?"}]},
        {"role": "assistant", "content": "let me see", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "find_order", "content": "in Hamburg"},
    ]
    asked = Asked(messages=conversation(client, as_read=True), tools=json.dumps(tools))
    assert asked.messages[2] == Message(role="assistant", tool_calls=(ToolCall(id="c1", name="find_order", arguments='{"number": 7}'),))
    ids = prompt_ids(tokenizer, chat(SYSTEM, asked))
    assert served(tokenizer, {"messages": client, "tools": tools}) == ids
    text = tokenizer.decode(ids)
    assert "tools: " in text
    assert "system\nBe brief." in text
    assert "where is\nmy order?" in text
    assert "find_order number=7" in text
    assert "tool\nin Hamburg" in text


def test_a_control_token_in_a_text_is_that_token_for_the_server_too(tokenizer: Any) -> None:
    """Why such rows are left out: nothing tells the server's tokenizer which part of the rendered text a user wrote."""
    tokenizer.chat_template = TEMPLATE
    ends = [
        served(tokenizer, {"messages": [{"role": "user", "content": text}]}).count(tokenizer.eos_token_id) for text in ("a", "a<|im_end|>")
    ]
    assert ends == [1, 2]
    assert str(tokenizer.eos_token) in control_tokens(json.loads(tokenizer.backend_tokenizer.to_str()))


def test_the_answer_and_its_end_are_taught_and_nothing_else(tokenizer: Any) -> None:
    for template, end in ((TEMPLATE, "<|im_end|>\n"), (NO_SYSTEM, "<end>\n"), (THINKING, "<|im_end|>\n")):
        tokenizer.chat_template = template
        tokenizer.chat_template = with_system_role(tokenizer)
        ids, start = taught(tokenizer, SYSTEM, Asked.of("say yes"), " yes ")
        assert tokenizer.decode(ids[start:]) == f"yes{end}"


def test_a_template_with_a_system_role_stays_byte_for_byte(tokenizer: Any) -> None:
    for template in (TEMPLATE, WITH_TOOLS, DEFAULT_SYSTEM):
        tokenizer.chat_template = template
        assert with_system_role(tokenizer) == template
    tokenizer.chat_template = NO_SYSTEM
    assert with_system_role(tokenizer) == FOLD_SYSTEM + NO_SYSTEM
    tokenizer.chat_template = FOLD_SYSTEM + NO_SYSTEM
    assert with_system_role(tokenizer) == FOLD_SYSTEM + NO_SYSTEM


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{{ messages[1].content }}", "{% broken"])
def test_a_template_that_writes_no_conversation_is_refused(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    with pytest.raises(NoTemplate, match="instruction-tuned"):
        with_system_role(tokenizer)


def test_what_a_template_does_not_take_is_said(tokenizer: Any) -> None:
    tokenizer.chat_template = NO_SYSTEM
    two_questions = Asked(messages=question("a") + question("b"))
    with pytest.raises(NoTemplate, match="roles must alternate"):
        prompt_ids(tokenizer, chat("", two_questions))
    tokenizer.chat_template = "{{ messages[-1].role }}"
    with pytest.raises(NoTemplate, match="leaves the assistant's answer out"):
        taught(tokenizer, "", Asked.of("a"), "b")


def test_a_base_without_a_system_role_is_published_with_one(tmp_path: Path) -> None:
    from ftassets.workers.training.base_models import ensure_base

    base = make_tiny_model(tmp_path / "base")
    (base / "chat_template.jinja").write_text(NO_SYSTEM)
    digest = ensure_base(str(base), tmp_path / "versions", tmp_path / "cache")
    assert (tmp_path / "versions" / digest / "merged" / "chat_template.jinja").read_text() == FOLD_SYSTEM + NO_SYSTEM
