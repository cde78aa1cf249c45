"""Response times of two model servers, measured so that a busy machine slows both alike."""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ftassets.backends.model_client.external import ENDPOINT_HEADER
from ftassets.config.loop import Task
from ftassets.domain.chat import Asked, request_body

CLIENTS = 8
TIMEOUT = 120.0  # seconds to connect, and between two reads


class ResponseTime(NamedTuple):
    """Milliseconds from the request to the first token of its answer, and to its end."""

    first_ms: float
    whole_ms: float


def interleaved_latency(urls: Mapping[str, str], prompts: Sequence[Asked], task: Task) -> dict[str, list[ResponseTime]]:
    """How long each server takes for each prompt, by role, in the order of the prompts; URLs end in /v1.

    A prompt goes to all servers at the same moment, and a few prompts are under way at once, as from users. Answers are streamed;
    of a server that answers in one piece all the same, the first token is the end.
    Raises requests.RequestException when a server does not answer, or breaks off.
    """
    roles = list(urls)

    with ThreadPoolExecutor(CLIENTS * len(roles)) as asking, ThreadPoolExecutor(CLIENTS) as users:

        def both(prompt: Asked) -> list[ResponseTime]:
            return [pending.result() for pending in [asking.submit(_ask, urls[role], prompt, task) for role in roles]]

        for prompt in prompts[:2]:
            both(prompt)  # warm-up
        pairs = list(users.map(both, prompts))
    return {role: [pair[number] for pair in pairs] for number, role in enumerate(roles)}


def _ask(url: str, prompt: Asked, task: Task) -> ResponseTime:
    """An answer without a token has its first one at its end."""
    import requests

    body: Any = {
        **request_body(task.system_prompt, prompt),
        "max_tokens": task.max_tokens,
        "temperature": task.temperature,
        "stream": True,
    }
    first: float | None = None
    ended = False
    begin = time.perf_counter()
    with requests.Session() as session:
        session.trust_env = False  # ignore proxy settings for model servers
        with session.post(f"{url}/chat/completions", json=body, timeout=TIMEOUT, stream=True) as response:
            where = response.headers.get(ENDPOINT_HEADER, url)
            response.raise_for_status()
            if response.headers.get("content-type", "").startswith("application/json"):
                ended = _is_whole(response.content)
            for line in response.iter_lines():  # as they arrive: servers stream in chunks
                data = line.removeprefix(b"data:").strip()
                if not line.startswith(b"data:") or data == b"[DONE]":
                    continue
                for choice in _choices(data):
                    if first is None and _says_something(choice.get("delta") or {}):
                        first = (time.perf_counter() - begin) * 1000
                    ended = ended or choice.get("finish_reason") is not None
    whole = (time.perf_counter() - begin) * 1000
    if not ended:
        raise requests.RequestException(f"{where} broke off its answer: read the server's log")
    return ResponseTime(whole if first is None else first, whole)


def _is_whole(body: bytes) -> bool:
    """Whether a body is a chat completion in one piece."""
    return any(choice.get("message") for choice in _choices(body))


def _choices(data: bytes) -> list[dict[str, Any]]:
    """Choices of one event of a stream, or of a whole answer; an error has none."""
    try:
        found = json.loads(data)
    except ValueError:
        return []
    return found.get("choices") or [] if isinstance(found, dict) else []


def _says_something(delta: Mapping[str, Any]) -> bool:
    """Whether tokens came, of whatever kind: the first event may only name the role."""
    return any(delta.get(kind) for kind in ("content", "reasoning_content", "reasoning", "tool_calls"))
