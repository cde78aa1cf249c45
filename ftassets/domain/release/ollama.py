"""A version as Ollama reads it: its chat template in Go's language, and the Modelfile.

https://docs.ollama.com/modelfile. Ollama fills templates of Go in; a version's is Jinja, and may compute anything. What is written here
is the usual case: each message has a fixed text before and behind it, by its role.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ftassets.errors import InvalidInput

# what Ollama's own converter reads (github.com/ollama/ollama, convert/convert.go), of models that write text
ARCHITECTURES = frozenset(
    f"{name}ForCausalLM" for name in ("Llama", "Mistral", "Mixtral", "Gemma", "Gemma2", "Gemma3", "Phi3", "Qwen2", "Olmo3", "Cohere")
)
_SYSTEM, _USER, _ANSWER = "be brief 4711", "how are you 0815", "very well 2342"

Render = Callable[[list[dict[str, Any]], bool], str]  # messages, and whether the text ends where the model goes on


class Affixes(NamedTuple):
    """Texts before and behind a message of each role, before an answer, and the system message of a conversation that has none."""

    around: dict[str, tuple[str, str]]
    answer: str
    usual_system: str

    def write(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The prompt of a conversation."""
        texts = [self.around[message["role"]][0] + message["content"] + self.around[message["role"]][1] for message in messages]
        return "".join([*texts, self.answer])


def affixes(render: Render) -> Affixes:
    """Those of a chat template. Raises InvalidInput for one that writes conversations otherwise."""
    talk: list[dict[str, Any]] = [
        {"role": role, "content": text} for role, text in (("system", _SYSTEM), ("user", _USER), ("assistant", _ANSWER), ("user", _USER))
    ]
    try:
        before, rest = _split(render(talk[:2], False), _SYSTEM)
        between, user_end = _split(rest, _USER)
        _, behind = _split(render(talk[:3], False), _USER)
        middle, answer_end = _split(behind, _ANSWER)
        _, last = _split(render(talk, True), _ANSWER)
        user_begin, _ = _split(last.removeprefix(answer_end), _USER)
        end = render(talk[:2], True).rpartition(_USER)[2].removeprefix(user_end)
        alone, _ = _split(render(talk[1:2], True), _USER)
    except ValueError as error:
        raise _other(str(error)) from error
    found = Affixes(
        {
            "system": (before, between.removesuffix(user_begin)),
            "user": (user_begin, user_end),
            "assistant": (middle.removeprefix(user_end), answer_end),
        },
        end,
        "",
    )
    system_begin, system_end = found.around["system"]
    if alone != user_begin:  # the template has a system message of its own
        usual = alone.removesuffix(system_end + user_begin)
        if usual == alone or not usual.startswith(system_begin):
            raise _other("a conversation without a system message begins otherwise")
        found = found._replace(usual_system=usual.removeprefix(system_begin))
    for length in (2, 4):
        if found.write(talk[:length]) != render(talk[:length], True):
            raise _other("a message has other texts around it in another place")
    return found


def go_template(around: Affixes) -> str:
    """The template that Ollama fills in."""
    cases = [f'eq .Role "{role}" }}}}{_go(begin)}{{{{ .Content }}}}{_go(end)}' for role, (begin, end) in around.around.items()]
    return "{{- range .Messages }}{{ if " + "{{ else if ".join(cases) + "{{ end }}{{ end }}" + _go(around.answer)


def modelfile(weights: str, around: Affixes, system: str, stop: Sequence[str], parameters: Mapping[str, float | int]) -> str:
    """The Modelfile of the weights in a folder next to it. Raises InvalidInput for a system prompt that it cannot hold."""
    system = system or around.usual_system
    if '"""' in system:
        raise InvalidInput('the system prompt has """ in it, which ends a text of a Modelfile: write it otherwise')
    lines = [f"FROM ./{weights}", f'TEMPLATE """{go_template(around)}"""', *([f'SYSTEM """{system}"""'] if system else [])]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters.items()]
    return "\n".join([*lines, *(f"PARAMETER stop {json.dumps(each, ensure_ascii=False)}" for each in stop)]) + "\n"


def _split(text: str, mark: str) -> tuple[str, str]:
    before, found, behind = text.partition(mark)
    if not found:
        raise ValueError("it leaves a message out")
    return before, behind


def _go(text: str) -> str:
    """A text in a template: as a string of Go, so that no space of it is lost."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def _other(why: str) -> InvalidInput:
    return InvalidInput(f"the chat template cannot be written for Ollama ({why}): serve the version with another engine")
