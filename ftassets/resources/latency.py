"""Response times of two model servers, measured so that a busy machine slows both alike."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ftassets.domain.loop import Task

TIMEOUT = 120.0  # seconds


def interleaved_latency(urls: Mapping[str, str], prompts: Sequence[str], task: Task) -> dict[str, list[float]]:
    """Milliseconds each server takes for each prompt, by role; URLs end in /v1. The same prompt goes to all of them at the same moment.

    Raises requests.RequestException when a server does not answer.
    """
    times: dict[str, list[float]] = {role: [] for role in urls}
    with ThreadPoolExecutor(len(urls)) as pool:
        for prompt in [prompts[0], *prompts] if prompts else []:  # the first is asked twice: a warm-up for all
            pending = {role: pool.submit(_ask, url, prompt, task) for role, url in urls.items()}
            for role, future in pending.items():
                times[role].append(future.result())
    return {role: values[1:] for role, values in times.items()}


def _ask(url: str, prompt: str, task: Task) -> float:
    import requests

    body = {
        "messages": [{"role": "system", "content": task.system_prompt}, {"role": "user", "content": prompt}],
        "max_tokens": task.max_tokens,
        "temperature": task.temperature,
    }
    begin = time.perf_counter()
    response = requests.post(f"{url}/chat/completions", json=body, timeout=TIMEOUT)
    response.raise_for_status()
    return (time.perf_counter() - begin) * 1000
