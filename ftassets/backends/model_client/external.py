"""A model that somebody else serves: its key, and its answers to many prompts."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.backends.model_client.openai import OpenAIEndpoint, Reply
from ftassets.domain.chat import Asked, request_body
from ftassets.domain.release.version import ExternalModel
from ftassets.errors import ConfigurationError

CLIENTS = 4  # requests under way at once
BATCH = 20  # answers that are kept at once
TIMEOUT = (5.0, 120.0)  # seconds to connect, and between two reads
TRIES = 4
LONGEST_WAIT = 30  # seconds, whatever Retry-After says
ENDPOINT_HEADER = "x-ftassets-endpoint"  # of answers from the gateway's loopback address: the URL behind it

Say = Callable[[str], None]


class KeyMissing(ConfigurationError):
    """The API key of an endpoint is not in the environment; the message names the variable."""


def key_of(model: ExternalModel) -> str:
    """The key, empty for an endpoint that wants none. Raises KeyMissing."""
    if model.api_key_env is None:
        return ""
    key = os.environ.get(model.api_key_env, "").strip()
    if not key:
        raise KeyMissing(
            f"the key of {model.url} is expected in the environment variable {model.api_key_env}, which is not set: "
            "set it for the gateway and for the runs, since both ask the endpoint"
        )
    if not key.isascii() or not key.isprintable():
        raise KeyMissing(f"the environment variable {model.api_key_env} holds characters that no key has")
    return key


def ask_all(
    who: str, model: ExternalModel, system_prompt: str, max_tokens: int, prompts: Mapping[str, Asked], output: Path, say: Say
) -> None:
    """Write the greedy answers to `prompts` (by row id) as an evaluator does, with the additional column tokens_in (int64).

    Token counts are the endpoint's own, 0 if it reports none. Each answer is saved next to the output at once, so that no answer is
    paid for twice: the name of `output` must cover everything they depend on. `who` names the model in messages.
    Raises EvaluationFailed.
    """
    endpoint = OpenAIEndpoint(who, model.url, model.api_key_env, EvaluationFailed, TRIES, 1.0, LONGEST_WAIT, TIMEOUT)
    kept = output.with_name(f"{output.name}.asked")
    known = _read(kept)
    missing = [row_id for row_id in prompts if row_id not in known]
    say(f"{who}, {model.model} at {model.url}: {len(prompts)} prompts, {len(prompts) - len(missing)} of them answered before")

    def ask(row_id: str) -> dict[str, Any]:
        body = {"model": model.model, **request_body(system_prompt, prompts[row_id]), "max_tokens": max_tokens, "temperature": 0.0}
        return {"id": row_id, **_answer(endpoint, who, row_id, endpoint.post(body))}

    output.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for begin in range(0, len(missing), BATCH):
            answered = list(pool.map(ask, missing[begin : begin + BATCH]))
            with kept.open("a", encoding="utf-8") as file:  # begins with a new line: the last one may be torn
                file.write("\n" + "".join(json.dumps(row) + "\n" for row in answered))
            known |= {row["id"]: row for row in answered}
    _write([known[row_id] for row_id in prompts], output)
    kept.unlink(missing_ok=True)


def _answer(endpoint: OpenAIEndpoint, who: str, row_id: str, response: Reply) -> dict[str, Any]:
    if response.status_code != 200:
        said = endpoint.said(response)
        advice = _ADVICE.get(response.status_code, "")
        raise EvaluationFailed(endpoint.clean(f"the {who} at {endpoint.url} answered {response.status_code} to {row_id}{said}{advice}"))
    try:
        content = response.json()
        choice, usage = content["choices"][0], content.get("usage") or {}
        text = choice["message"].get("content") or choice["message"].get("refusal") or ""
        return {
            "answer": text.strip().encode("utf-8", "replace").decode(),  # half a surrogate pair could not be stored
            "tokens_in": _count(usage.get("prompt_tokens")),
            "tokens_out": _count(usage.get("completion_tokens")),
            "truncated": choice.get("finish_reason") == "length",
        }
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        kind = type(error).__name__
        raise EvaluationFailed(f"the {who} at {endpoint.url} did not answer {row_id} with a chat completion ({kind})") from None


def _count(tokens: Any) -> int:
    """A number of tokens, 0 if none is reported. Raises ValueError, TypeError, OverflowError."""
    count = int(tokens or 0)
    if not 0 <= count < 2**63:
        raise ValueError("no number of tokens")
    return count


_ADVICE = {
    401: " (is the key the right one?)",
    403: " (may this key use the model?)",
    404: " (are url and model right? the url ends before /chat/completions)",
    429: f" (asked {TRIES} times: try later; what was answered is kept)",
}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    rows = {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else ():
        with suppress(ValueError, KeyError, TypeError):  # a line torn by a kill is asked again
            row = json.loads(line)
            rows[row["id"]] = row
    return rows


def _write(rows: Sequence[Mapping[str, Any]], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": pa.string(), "answer": pa.string(), "tokens_out": pa.int64(), "truncated": pa.bool_(), "tokens_in": pa.int64()}
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(list(columns.items()))), temporary)
    temporary.replace(target)
