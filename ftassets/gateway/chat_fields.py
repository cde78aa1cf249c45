"""Every field of OpenAI's chat API, and what each kind of model server can do with it: no field that changes the answer is dropped in
silence."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ftassets.gateway.problems import Problem

Engine = Literal["transformers", "endpoint"]
Treatment = Literal["gateway", "passed", "own", "named", "refused"]

MEANINGS: dict[Treatment, str] = {
    "gateway": "the gateway does what it says",
    "passed": "passed to the model server",
    "own": "the version's own value; another one is refused",
    "named": "has no effect; the answer's header `X-Ftassets-Ignored` names it",
    "refused": "refused, unless the value asks for nothing",
}


@dataclass(frozen=True)
class ChatField:
    """What becomes of a field, by engine. `nothing`: values besides null that ask for nothing, and are always taken.

    `steers`: it may give an answer another form than the task's, so that the form of such an answer says nothing about the version.
    """

    transformers: Treatment
    endpoint: Treatment
    nothing: tuple[Any, ...] = ()
    steers: bool = False


_GATEWAY = ChatField("gateway", "gateway")
_NAMED = ChatField("named", "named")

# `transformers serve` with continuous batching takes its sampling from the first request it sees, which is the gateway's own
CHAT_FIELDS: dict[str, ChatField] = {
    "model": _GATEWAY,
    "messages": _GATEWAY,
    "stream": _GATEWAY,
    "stream_options": _GATEWAY,
    "user": _GATEWAY,
    "max_tokens": _GATEWAY,
    "max_completion_tokens": _GATEWAY,
    "n": _GATEWAY,
    "tools": ChatField("passed", "passed"),
    "temperature": ChatField("own", "passed"),
    "top_p": ChatField("refused", "passed", (1,)),
    "frequency_penalty": ChatField("refused", "passed", (0,), steers=True),
    "presence_penalty": ChatField("refused", "passed", (0,), steers=True),
    "logit_bias": ChatField("refused", "passed", ({},), steers=True),
    "stop": ChatField("refused", "passed", ([],), steers=True),
    "response_format": ChatField("refused", "passed", ({"type": "text"},), steers=True),
    "tool_choice": ChatField("refused", "passed", ("auto",), steers=True),
    "parallel_tool_calls": ChatField("refused", "passed", (True,), steers=True),
    "functions": ChatField("refused", "passed", ([],), steers=True),
    "function_call": ChatField("refused", "passed", ("auto", "none"), steers=True),
    "reasoning_effort": ChatField("refused", "passed", steers=True),
    "verbosity": ChatField("refused", "passed", ("medium",), steers=True),
    "web_search_options": ChatField("refused", "passed", steers=True),
    "logprobs": ChatField("refused", "passed", (False,)),
    "top_logprobs": ChatField("refused", "passed", (0,)),
    "moderation": ChatField("refused", "passed"),
    "modalities": ChatField("refused", "refused", (["text"],)),  # an answer is text
    "audio": ChatField("refused", "refused"),
    "seed": ChatField("named", "passed"),  # OpenAI promises nothing of it either
    "prediction": ChatField("named", "passed"),
    "service_tier": ChatField("named", "passed"),
    "prompt_cache_key": _NAMED,
    "prompt_cache_retention": _NAMED,
    "prompt_cache_options": _NAMED,
    "safety_identifier": _NAMED,
    "metadata": _NAMED,
    "store": _NAMED,  # the traffic log has every answer
}


@dataclass(frozen=True)
class Treated:
    """The fields of one request: what the engine gets, what has no effect, and what may give the answer another form."""

    passed: dict[str, Any]
    ignored: tuple[str, ...]
    steering: tuple[str, ...]


def check_names(names: Iterable[str]) -> None:
    """Raises Problem 400 for a name that the chat API does not have."""
    for name in names:
        if name not in CHAT_FIELDS:
            near = difflib.get_close_matches(name[:60], CHAT_FIELDS, 1)
            hint = f": did you mean {near[0]}?" if near else ", so that it would have no effect: leave it out"
            raise Problem(400, f"{name[:60]} is not a field of the chat API{hint}", "unknown_parameter", param=name[:60])


def treat(given: Mapping[str, Any], engine: Engine, temperature: float) -> Treated:
    """What becomes of the given fields, as validated, on this engine; `temperature` is the version's own.

    Raises Problem 400 for a field that would change the answer and cannot.
    """
    passed: dict[str, Any] = {}
    ignored, steering = [], []
    for name, value in given.items():
        known = CHAT_FIELDS[name]
        treatment = known.transformers if engine == "transformers" else known.endpoint
        nothing = value is None or any(_same(value, each) for each in known.nothing)
        if treatment == "passed" and value is not None:
            passed[name] = value
            steering += [name] * (known.steers and not nothing)
        elif nothing or treatment == "gateway":
            continue
        elif treatment == "named" or (name == "top_p" and temperature == 0):  # the likeliest token is taken, whatever the others are
            ignored.append(name)
        elif treatment == "own":
            if value != temperature:
                only = f"{name}: the model server of this loop answers at {temperature:g} only: leave it out"
                raise Problem(400, only, "unsupported_value", param=name)
        else:
            cannot = f"{name}: the model server of this loop cannot do this: leave it out"
            raise Problem(400, cannot, "unsupported_parameter", param=name)
    return Treated(passed, tuple(ignored), tuple(steering))


def _same(value: Any, other: Any) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)
