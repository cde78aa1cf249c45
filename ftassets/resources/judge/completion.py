"""One question to a judge's endpoint, and an answer of the form asked for."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ftassets.resources.chat_endpoint import ChatEndpoint
from ftassets.resources.judge.base import JudgeUnreachable, NotJudged

TIMEOUT = (5.0, 60.0)  # seconds to connect, and between two reads
TRIES = 4
LONGEST_WAIT = 30  # seconds, whatever Retry-After says

_ADVICE = {
    400: " (does the model take response_format json_schema?)",
    401: " (is the key the right one?)",
    403: " (may this key use the model?)",
    404: " (are url and model right? the url ends before /chat/completions)",
    429: f" (asked {TRIES} times: try later, or lower the sample)",
}

T = TypeVar("T", bound=BaseModel)


def ask(
    endpoint: ChatEndpoint,
    model: str,
    temperature: float,
    instructions: str,
    data: Mapping[str, Any],
    schema: Mapping[str, Any],
    answer: type[T],
    what: str,
) -> T:
    """The model's answer to the instructions about the data, by JSON schema; `what` names the answer in messages.

    Raises NotJudged when this one got no usable answer, JudgeUnreachable when none would.
    """
    response = endpoint.post(
        {
            "model": model,
            "temperature": temperature,
            "messages": [
                {"role": "system", "content": instructions},
                {"role": "user", "content": json.dumps(data, ensure_ascii=False)},
            ],
            "response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}},
        }
    )
    if response.status_code != 200:
        said = " ".join(response.text[:300].split())
        kind = NotJudged if response.status_code in (400, 413, 422) else JudgeUnreachable
        raise kind(endpoint.clean(f"the judge answered {response.status_code}: {said}{_ADVICE.get(response.status_code, '')}"))
    try:
        return answer.model_validate_json(response.json()["choices"][0]["message"]["content"])
    except ValidationError as error:  # its words, without the judge's: those may quote a user
        found = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in found["loc"]) or "the answer"
        raise NotJudged(f"the judge did not answer with {what}: {place}: {found['msg']}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotJudged(f"the judge did not answer with a chat completion ({type(error).__name__})") from None
