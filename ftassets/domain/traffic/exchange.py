"""Record of one request: the exchange, and the user's feedback on the answer."""

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. Times in epoch seconds, durations in milliseconds, tokens as the engine counted them."""

    id: str
    loop: str
    version: str
    user: str  # hash of the sticky key; never the key itself
    prompt: str  # text of the last user message
    messages: str  # JSON of the request's messages
    answer: str
    status: int  # HTTP status the client got
    at: float
    latency_ms: float
    first_token_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    weight: float  # percent of the traffic this version had when it answered
    error: str | None = None


@dataclass(frozen=True)
class Feedback:
    """User feedback on an answer: rating is up or down, correction is the expected answer."""

    request_id: str
    at: float
    rating: str | None
    correction: str | None


@dataclass(frozen=True)
class Reviewed:
    """An exchange with the newest feedback on it."""

    exchange: Exchange
    feedback: Feedback


def hashed_user(name: Any) -> str:
    """SHA-256 (hex) of a user's name in another system, without salt; empty without a user.

    Two files that name the same person give the same hash; the gateway's salted hash differs.
    """
    return "" if name is None or name == "" else hashlib.sha256(str(name).encode("utf-8", "replace")).hexdigest()
