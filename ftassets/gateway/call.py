"""One request on its way through the gateway, and its record."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ftassets.backends.traffic_log.base import Exchange
from ftassets.domain.clients import ClientKey
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.gateway.answer import Answer, tokens
from ftassets.gateway.chat_request import Received


@dataclass
class Call:
    """One request on its way, and what is known of its answer so far."""

    id: str
    loop: str
    version: str
    weight: float
    user: str
    prompt: str
    messages: str
    at: float
    began: float
    own_id: str | None = None  # the client's name of its request
    instead_of: str | None = None  # the candidate that production answers for
    client: ClientKey | None = None  # whose key it had
    trace: Mapping[str, str] = field(default_factory=dict)  # headers of the client's trace
    received: Received | None = None  # what a copy of it is made of
    reached: bool = False  # whether the model server took it
    said: Answer = field(default_factory=Answer)
    first_token_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cut: bool = False  # at the token limit
    limited: bool = False  # to fewer tokens than the version's own limit, by what the client asked
    ignored: tuple[str, ...] = ()  # fields of the request that have no effect
    steered: str | None = None  # what of the client's own may give the answer another form than the task's

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000

    @property
    def headers(self) -> dict[str, str]:
        own = {"x-client-request-id": self.own_id} if self.own_id else {}
        fallback = {"x-ftassets-fallback-for": self.instead_of} if self.instead_of else {}
        ignored = {"x-ftassets-ignored": ", ".join(self.ignored)} if self.ignored else {}
        return {"x-ftassets-version": self.version, "x-request-id": self.id, **own, **fallback, **ignored, **self.trace}

    def count(self, usage: Any) -> None:
        """Take over the engine's token counts, if it gives any."""
        if usage:
            self.tokens_in, self.tokens_out = tokens(usage, "prompt_tokens"), tokens(usage, "completion_tokens")

    def finished(self, form: AnswerForm, status: int, error: str | None = None) -> Exchange:
        exchange = Exchange(
            id=self.id,
            loop=self.loop,
            version=self.version,
            user=self.user,
            prompt=self.prompt,
            messages=self.messages,
            answer=self.said.logged(),
            status=status,
            at=self.at,
            latency_ms=self.elapsed_ms,
            first_token_ms=self.first_token_ms,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            weight=self.weight,
            error=error,
            client=self.client.name if self.client else None,
        )
        return exchange.judged(form, self.cut, "max_tokens or a long conversation" if self.cut and self.limited else self.steered)
