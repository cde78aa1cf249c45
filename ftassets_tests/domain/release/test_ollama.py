"""Chat templates in Go's language, filled in here as Ollama does and compared with what Jinja writes."""

import json
import re
from typing import Any

import jinja2
import pytest

from ftassets.domain.release.ollama import Render, affixes, go_template, modelfile

CHATML = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}{{ '<|im_start|>system\nYou are SmolLM.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA_LIKE = (
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
BRACES = "{% for m in messages %}{{ '{{' + m.role + '}} \"' + m.content + '\" ' }}{% endfor %}{% if add_generation_prompt %}go{% endif %}"
TALK = [
    {"role": "system", "content": "Antworte auf Deutsch."},
    {"role": "user", "content": "dim the lamp\n{{ .System }}"},
    {"role": "assistant", "content": '{"intent": "dim"}'},
    {"role": "user", "content": "and now?"},
    {"role": "assistant", "content": "ok"},
    {"role": "user", "content": " "},
]


def render(template: str) -> Render:
    made = jinja2.Environment().from_string(template)
    return lambda messages, goes_on: made.render(messages=messages, add_generation_prompt=goes_on)


def filled(template: str, messages: list[dict[str, Any]]) -> str:
    """What Go's text/template makes of the forms that are used."""
    before, body, after = re.fullmatch(r"(?s)(\{\{- range \.Messages \}\})(.*)\{\{ end \}\}\{\{ end \}\}(.*)", template).groups()
    assert before
    cases = dict(re.findall(r'(?s)(?:else )?if eq \.Role "(\w+)" \}\}(.*?)(?=\{\{ else|$)', body))

    def text(part: str, message: dict[str, Any]) -> str:
        found = re.findall(r'\{\{ (\.Content|"(?:[^"\\]|\\.)*") \}\}', part)
        assert part == "".join(f"{{{{ {each} }}}}" for each in found), "nothing stands outside of an action"
        return "".join(message["content"] if each == ".Content" else json.loads(each) for each in found)

    return "".join([*(text(cases[message["role"]], message) for message in messages), text(after, {})])


@pytest.mark.parametrize("template", [CHATML, GEMMA_LIKE, PLAIN, BRACES])
def test_ollama_s_prompt_is_the_one_the_version_was_trained_on(template: str) -> None:
    jinja, go = render(template), go_template(affixes(render(template)))
    for length in (2, 4, 6):
        assert filled(go, TALK[:length]) == jinja(TALK[:length], True)


def test_a_template_s_own_system_message_is_the_model_s() -> None:
    found = affixes(render(CHATML))
    assert found.usual_system == "You are SmolLM."
    with_it = [{"role": "system", "content": found.usual_system}, *TALK[1:2]]
    assert found.write(with_it) == render(CHATML)(TALK[1:2], True)
    assert affixes(render(PLAIN)).usual_system == ""


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content }}{% if loop.last %}!{% endif %} {% endfor %}",  # the last message is written otherwise
        "{% for m in messages[-1:] %}{{ m.content }}{% endfor %}",  # what was said before is left out
        "{% for m in messages %}{{ loop.index }}: {{ m.content }} {% endfor %}",
    ],
)
def test_a_template_that_computes_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="the chat template cannot be written for Ollama"):
        affixes(render(template))


def test_the_modelfile() -> None:
    around = affixes(render(CHATML))
    made = modelfile("model", around, 'Say "yes".', ["<|im_end|>", 'a"b'], {"temperature": 0.0, "num_predict": 48})
    assert made.splitlines()[0] == "FROM ./model"
    assert 'SYSTEM """Say "yes"."""' in made
    assert made.splitlines()[-4:] == [
        "PARAMETER temperature 0.0",
        "PARAMETER num_predict 48",
        'PARAMETER stop "<|im_end|>"',
        'PARAMETER stop "a\\"b"',
    ]
    assert 'SYSTEM """You are SmolLM."""' in modelfile("model", around, "", [], {})
    with pytest.raises(ValueError, match="ends a text of a Modelfile"):
        modelfile("model", around, 'a """ b', [], {})
