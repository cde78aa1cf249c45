"""Whatever OpenAI's client sends reaches the training tokens: recorded, made a row of, stored and rendered without loss."""

import json
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall
from openai.types.chat.chat_completion_message_function_tool_call import Function

from ftassets.assets._shared.dataset_files import from_parquet, to_parquet
from ftassets.domain.dataset.feedback import from_feedback
from ftassets.domain.traffic.feedback import Feedback, Reviewed
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.chat_template import taught
from ftassets_tests.gateway.conftest import LOOPS, Running

pytestmark = pytest.mark.models

TEMPLATE = (
    "{% if tools %}{% for t in tools %}{{ '(tool ' + t.function.name + ' ' + t.function.description + ')' }}{% endfor %}{% endif %}"
    "{% for m in messages %}{{ '(' + m.role + ' ' + m.content }}{% for c in m.tool_calls or [] %}"
    "{{ c.function.name + ' ' + c.function.arguments | tojson }}{% endfor %}{{ ')' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '(assistant ' }}{% endif %}"
)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(lambda text: f"~{text}")
NAME = st.text("abc_", min_size=1, max_size=6)
ARGUMENTS = st.dictionaries(NAME, st.integers(0, 9) | NAME, max_size=2)
TOOLS = st.lists(st.tuples(NAME, NAME), max_size=2).map(
    lambda found: [{"type": "function", "function": {"name": name, "description": said, "parameters": {}}} for name, said in found]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Any]:
    """Messages as a program builds them: those it got are the client's own objects."""
    messages: list[Any] = draw(st.lists(st.builds(lambda role, text: {"role": role, "content": text}, SYSTEM_ROLE, TEXT), max_size=1))
    messages.append(draw(user()))
    for number in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            messages += [ChatCompletionMessage(role="assistant", content=draw(TEXT)), draw(user())]
            continue
        calls = [
            ChatCompletionMessageFunctionToolCall(
                id=f"call_{number}_{place}", type="function",
                function=Function(name=draw(NAME), arguments=json.dumps(draw(ARGUMENTS), indent=draw(st.sampled_from([None, 1])))),
            )
            for place in range(draw(st.integers(1, 2)))
        ]  # fmt: skip
        messages.append(ChatCompletionMessage(role="assistant", tool_calls=calls))  # type: ignore[arg-type]
        messages += [{"role": "tool", "tool_call_id": call.id, "content": draw(content())} for call in calls]
    return messages


SYSTEM_ROLE = st.sampled_from(["system", "developer"])


def content() -> st.SearchStrategy[Any]:
    parts = st.lists(TEXT, min_size=1, max_size=2).map(lambda texts: [{"type": "text", "text": text} for text in texts])
    return TEXT | parts


def user() -> st.SearchStrategy[dict[str, Any]]:
    return content().map(lambda said: {"role": "user", "content": said})


def expected(messages: list[Any], tools: list[dict[str, Any]], answer: str) -> str:
    """What the template is to write, made of the client's messages alone."""
    written = [f"(tool {tool['function']['name']} {tool['function']['description']})" for tool in tools]
    known = [message if isinstance(message, dict) else message.model_dump() for message in messages]
    if known[0]["role"] not in ("system", "developer"):
        known.insert(0, {"role": "system", "content": "Answer."})
    for message in known:
        said = message["content"] or ""
        text = said if isinstance(said, str) else "\n".join(part["text"] for part in said)
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        text += "".join(f"{call['name']} {json.dumps(json.loads(call['arguments']), ensure_ascii=False)}" for call in calls)
        written.append(f"({message['role'].replace('developer', 'system')} {text})")
    return "".join(written) + f"(assistant {answer})"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(make_tiny_model(tmp_path_factory.mktemp("tiny") / "base"))
    found.chat_template = TEMPLATE
    return found


@given(messages=conversations(), tools=TOOLS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_client_sends_is_what_is_trained_on(serving_a: Running, tokenizer: Any, messages: list[Any], tools: list[dict]) -> None:
    with openai.OpenAI(base_url=f"{serving_a.url}/v1", api_key="none") as client:
        reply = client.chat.completions.create(model="support", messages=messages, tools=tools or openai.omit)
    recorded = next(row for row in serving_a.rows() if row.id == reply.id)
    rows, rejected = from_feedback([Reviewed(recorded, Feedback(recorded.id, recorded.at, "up", None))], LOOPS["support"].task.form)
    assert rejected == []
    stored = from_parquet(to_parquet(rows))
    assert stored == rows
    (row,) = stored
    trained = tokenizer.decode(taught(tokenizer, "Answer.", row, row.completion).ids)
    assert trained == expected(messages, tools, (reply.choices[0].message.content or "").strip())
