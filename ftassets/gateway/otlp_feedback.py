"""`POST /v1/logs`: what people say of answers, as OpenTelemetry's evaluations. An exporter of logs may name the gateway as its endpoint.

OTLP over HTTP with JSON, https://opentelemetry.io/docs/specs/otlp/#otlphttp. An evaluation is a log record with the event name
`gen_ai.evaluation.result`; its `gen_ai.response.id` is the id of the answer. Any other log record is rejected and need not be sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftassets.backends.traffic_log.base import Feedback, UnknownAnswer
from ftassets.domain.traffic.imports import BAD, EARLIEST
from ftassets.domain.traffic.imports.fields import Assessment
from ftassets.domain.traffic.imports.otel_genai import parse, records
from ftassets.errors import reason_of
from ftassets.gateway.feedback import FeedbackRequest

TOGETHER = 100  # pieces of feedback that wait for the log at a time


class LogsRequest(BaseModel):
    """OTLP's ExportLogsServiceRequest as JSON."""

    model_config = ConfigDict(extra="forbid")

    resourceLogs: list[dict[str, Any]] = Field(description="As in OTLP: `scopeLogs`, and in them `logRecords`.")


class PartialSuccess(BaseModel):
    """What was not taken."""

    rejectedLogRecords: int = Field(description="How many log records are no feedback on an answer of this gateway.")
    errorMessage: str = Field(description="Why the first of them was not taken.")


class LogsStored(BaseModel):
    """All other evaluations are on disk."""

    partialSuccess: PartialSuccess | None = Field(None, description="Not there if all were taken.")


async def store(request: LogsRequest, record: Callable[[Feedback], Awaitable[None]], now: float) -> LogsStored:
    """Store the feedback of an export. Raises what `record` does but UnknownAnswer: whoever sends it again stores nothing twice."""
    try:
        found = list(records(request.model_dump()))
    except BAD as error:
        return LogsStored(partialSuccess=PartialSuccess(rejectedLogRecords=1, errorMessage=_why(error)))
    rejected: list[str] = []
    for begin in range(0, len(found), TOGETHER):
        ended = await asyncio.gather(*(_store_one(each, record, now) for each in found[begin : begin + TOGETHER]))
        rejected += [why for why in ended if why]
    if not rejected:
        return LogsStored()
    return LogsStored(partialSuccess=PartialSuccess(rejectedLogRecords=len(rejected), errorMessage=rejected[0]))


async def _store_one(log_record: Any, record: Callable[[Feedback], Awaitable[None]], now: float) -> str | None:
    """Why a log record was rejected."""
    try:
        said = parse(log_record)
        if not isinstance(said, Assessment):
            raise ValueError("a model call, and no evaluation: the gateway logs its own calls")
        if said.feedback is None:
            raise ValueError(", ".join(said.left_out))
        given = {name: getattr(said.feedback, name) for name in ("rating", "correction", "comment")}
        asked = FeedbackRequest(id="any", **{name: value for name, value in given.items() if value is not None})
    except BAD as error:
        return _why(error)
    moment = said.feedback.at
    at = moment if moment is not None and EARLIEST <= moment <= now else now  # another clock may be ahead
    for name in said.about:
        if not name.startswith(("span:", "trace:")):
            try:
                await record(Feedback(name, at, asked.rating, asked.correction, asked.comment, None))
                return None
            except UnknownAnswer:
                continue
    return "the traffic log has no answer of this name: gen_ai.response.id is the `id` of an answer"


def _why(error: Exception) -> str:
    return " ".join(reason_of(error).split())[:300]
