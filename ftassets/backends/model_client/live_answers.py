"""What a running model server answers to prompts whose answers are known."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ftassets.config.loop import Task
from ftassets.domain.chat import Asked, request_body
from ftassets.errors import no_answer

CLIENTS = 4  # a probe must not crowd out the users of the same server
TIMEOUT = (5.0, 120.0)  # seconds to connect, and between two reads


@dataclass(frozen=True)
class LiveAnswer:
    """The text of an answer, or what was there instead."""

    text: str
    error: str | None = None


def live_answers(url: str, prompts: Sequence[Asked], task: Task) -> list[LiveAnswer]:
    """One answer per prompt, in order, at the task's settings; `url` ends in /v1. A failed request gives an answer with `error`."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(lambda prompt: _ask(url, prompt, task), prompts))


def _ask(url: str, prompt: Asked, task: Task) -> LiveAnswer:
    import requests  # 0.2 s that only callers should pay

    body: Any = {**request_body(task.system_prompt, prompt), "max_tokens": task.max_tokens, "temperature": task.temperature}
    try:
        with requests.Session() as session:
            session.trust_env = False  # ignore proxy settings for model servers
            response = session.post(f"{url}/chat/completions", json=body, timeout=TIMEOUT)
        response.raise_for_status()
        content = response.json()["choices"][0]["message"]["content"]
    except (OSError, ValueError, LookupError, TypeError) as error:  # requests' errors are OSErrors
        return LiveAnswer("", f"{type(error).__name__}: {no_answer(error)[:200]}")
    return LiveAnswer(str(content or "").encode("utf-8", "replace").decode())  # half a surrogate pair could not be stored
