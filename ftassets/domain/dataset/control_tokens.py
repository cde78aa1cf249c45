"""Texts that hold a control token of a tokenizer, such as `<|im_end|>`.

A model server renders a conversation as one text and reads the token in it: the user's text would end a message and begin another.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ftassets.domain.chat import Asked, texts
from ftassets.domain.dataset.rows import Example, Quarantined, shown


def control_tokens(tokenizer: Mapping[str, Any]) -> list[str]:
    """The control tokens of a `tokenizer.json`."""
    return [token["content"] for token in tokenizer.get("added_tokens") or () if token.get("special")]


def control_token(asked: Asked, answer: str, tokens: Iterable[str]) -> str | None:
    """A control token that a text of the row holds; None without one."""
    said = [*texts(asked.messages), answer]
    for message in asked.messages:
        said.append(message.tool_call_id or "")
        for call in message.tool_calls or ():
            said += [call.id or "", call.name, _as_rendered(call.arguments)]
    if asked.tools:
        said += [asked.tools, _as_rendered(asked.tools)]
    return next((token for token in tokens if any(token in text for text in said)), None)


def _as_rendered(document: str) -> str:
    """JSON as chat templates write it: without escapes such as \\u003c, which hide a token."""
    return json.dumps(json.loads(document), ensure_ascii=False)


def without_control_tokens(rows: Iterable[Example], tokens: Collection[str]) -> tuple[list[Example], list[Quarantined]]:
    """The rows without a control token in their texts, and the others with the token."""
    kept: list[Example] = []
    rejected: list[Quarantined] = []
    for row in rows:
        if (token := control_token(row, row.completion, tokens)) is None:
            kept.append(row)
        else:
            rejected.append(Quarantined(f"{row.source}:{row.id}", said_of(token), shown(row.prompt)))
    return kept, rejected


def said_of(token: str) -> str:
    """Why a row with a control token is left out."""
    return f"a text holds {token!r}: model servers read it as the token that it names, not as text"
