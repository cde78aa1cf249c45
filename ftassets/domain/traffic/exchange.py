"""Record of one request with its answer: the exchange."""

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from ftassets.domain.canonical import parse_json
from ftassets.domain.chat import Asked, embedded_text
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.languages import in_another_language
from ftassets.domain.refusal import refused

STEERED = "the client's own settings explain the form of this answer: "
ANSWERED = 200  # status of an exchange with an answer


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. Times in epoch seconds, durations in milliseconds, tokens as the engine counted them."""

    id: str
    loop: str
    version: str
    user: str  # hash of the sticky key; never the key itself
    prompt: str  # text of the last user message
    messages: str  # JSON of the request's messages; of one with tools an object of messages and tools
    answer: str
    status: int  # HTTP status the client got
    at: float
    latency_ms: float
    first_token_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    weight: float  # percent of the traffic this version had when it answered
    error: str | None = None  # why there is no good answer; of status 200, what the client set that explains an answer without the form
    well_formed: bool | None = None  # whether the answer has the form the task asked for; None without an answer, or if nobody judged it
    client: str | None = None  # name of the client whose key it had; None where the gateway had no clients, and for imports
    refused: bool | None = None  # whether the answer declines, by its first words; None without an answer
    other_language: bool | None = None  # than the request's; None where that cannot be told, and for answers that are no prose

    def was_cut(self, form: AnswerForm) -> bool:
        """Whether the answer was cut at the token limit, which its text does not show: no row may teach it."""
        return form.was_cut(self.answer, self.well_formed)

    def judged(self, form: AnswerForm, truncated: bool = False, steered: str | None = None) -> "Exchange":
        """The exchange with its answer judged: by the form of its task, whether it declines, and its language.

        `truncated`: it was cut at the token limit; `steered`: what the client set that may give an answer another form. Such an answer
        without the form says nothing about the version.
        """
        if self.status != ANSWERED:
            return self
        well_formed = form.well_formed(self.answer, truncated)
        error = f"{STEERED}{steered}" if steered and not well_formed else self.error
        other_language = in_another_language(self.prompt, self.answer) if form.prose else None
        return replace(self, well_formed=well_formed, error=error, refused=refused(self.answer), other_language=other_language)


@dataclass(frozen=True)
class Outcomes:
    """Exchanges that ended alike, and how many; the other fields as in the exchange.

    `well_formed` is None too for an answer whose form the client's own settings explain.
    """

    version: str
    weight: float
    status: int
    well_formed: bool | None
    count: int

    @property
    def failed(self) -> bool:
        """Whether the model failed; a request the client got wrong is not the model's failure."""
        return self.status >= 500 or self.malformed

    @property
    def malformed(self) -> bool:
        """Whether there is an answer, in another form than the task asked for."""
        return self.status == ANSWERED and self.well_formed is False

    @property
    def judged(self) -> bool:
        """Whether it is known that the model failed, or that it did not: what a client got wrong or broke off is neither."""
        return self.status >= 500 or (self.status == ANSWERED and self.well_formed is not None)


@dataclass(frozen=True)
class ByUser:
    """Users of a span of time, and the sum of their shares of good answers (0 to 1 each): a user counts once, however many answers."""

    users: int
    good: float


def stored_request(messages: Any, tools: Any) -> Any:
    """What `Exchange.messages` has as JSON, in OpenAI's form: the messages, of a request with tools an object of both."""
    return {"messages": messages, "tools": tools} if tools else messages


def asked_of(exchange: Exchange) -> Asked:
    """The conversation of a request as the model read it. Raises ValueError if it is not one of texts."""
    return asked_in(exchange.messages)


def asked_in(stored: str) -> Asked:
    """The conversation of `Exchange.messages`. Raises ValueError if it is not one of texts."""
    messages, tools = request_in(stored)
    return Asked.read(messages, tools, as_read=True)


def request_in(stored: str) -> tuple[Any, Any]:
    """Messages and tools of `Exchange.messages`, as `stored_request` put them together. Raises ValueError if it is not such JSON."""
    request = parse_json(stored)
    return (request.get("messages"), request.get("tools")) if isinstance(request, dict) else (request, None)


def query_of(exchange: Exchange, context: str) -> str:
    """The text of a request that is embedded, see `embedded_text`; the last user message where the conversation cannot be read."""
    try:
        return embedded_text(asked_of(exchange), context)
    except ValueError:
        return exchange.prompt


def hashed_user(name: Any) -> str:
    """SHA-256 (hex) of a user's name, without a secret; empty without a user. The log has it under `keyed_user` only.

    White space around the name does not count, nor how its letters are composed.
    """
    known = "" if name is None else unicodedata.normalize("NFC", str(name).strip())
    return hashlib.sha256(known.encode("utf-8", "replace")).hexdigest() if known else ""


def keyed_user(hashed: str, secret: str) -> str:
    """How the log names a user, whoever brings the rows: HMAC-SHA-256 of `hashed_user` under the home's secret, 32 hex characters.

    Empty without a user. Without the secret, names cannot be tried until one fits.
    """
    return hmac.digest(secret.encode(), hashed.encode(), "sha256").hex()[:32] if hashed else ""
