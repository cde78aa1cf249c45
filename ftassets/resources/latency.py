"""Response times of two model servers, measured so that a busy machine slows both alike."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ftassets.domain.loop import Task

CLIENTS = 8
TIMEOUT = 120.0  # seconds


def interleaved_latency(urls: Mapping[str, str], prompts: Sequence[str], task: Task) -> dict[str, list[float]]:
    """Milliseconds each server takes for each prompt, by role, in the order of the prompts; URLs end in /v1.

    A prompt goes to all servers at the same moment, and a few prompts are under way at once, as from users.
    Raises requests.RequestException when a server does not answer.
    """
    roles = list(urls)

    with ThreadPoolExecutor(CLIENTS * len(roles)) as asking, ThreadPoolExecutor(CLIENTS) as users:

        def both(prompt: str) -> list[float]:
            return [pending.result() for pending in [asking.submit(_ask, urls[role], prompt, task) for role in roles]]

        for prompt in prompts[:2]:
            both(prompt)  # warm-up
        pairs = list(users.map(both, prompts))
    return {role: [pair[number] for pair in pairs] for number, role in enumerate(roles)}


def _ask(url: str, prompt: str, task: Task) -> float:
    import requests

    body: Any = {
        "messages": [{"role": "system", "content": task.system_prompt}, {"role": "user", "content": prompt}],
        "max_tokens": task.max_tokens,
        "temperature": task.temperature,
    }
    begin = time.perf_counter()
    response = requests.post(f"{url}/chat/completions", json=body, timeout=TIMEOUT)
    response.raise_for_status()
    return (time.perf_counter() - begin) * 1000
