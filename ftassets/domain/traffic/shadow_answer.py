"""What a candidate in shadow answers to the copy of a request, with what production answered: a pair of one request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ftassets.domain.traffic.exchange import ANSWERED, Exchange


class PairLapse(StrEnum):
    """In what one answer of a pair may be bad and the other not."""

    ERROR = "error"  # there is no answer; where production answered, a request that the candidate does not take is one too
    MALFORMED = "malformed"  # an answer without the task's form, unless the client's own settings explain it
    REFUSED = "refused"  # an answer that declines, by its first words
    SLOW = "slow"  # an answer that took longer than a limit
    LATE = "late"  # a streamed answer whose first token took longer than a limit
    LONG = "long"  # an answer of more tokens than a limit
    OTHER_LANGUAGE = "other_language"  # an answer in another language than its request


@dataclass(frozen=True)
class ShadowAnswer:
    """The candidate's answer to a copy, which no client gets, and how production's answer to the same request ended.

    Durations in milliseconds, `at` is the time of production's request in epoch seconds. `well_formed` is None too where the client's own
    settings explain the form. `agrees`, `refused` and `other_language`, of either answer, are None without an answer.
    """

    request_id: str  # production's exchange
    loop: str
    version: str
    production: str  # version that answered the user
    user: str  # as in the exchange
    at: float
    status: int
    latency_ms: float
    first_token_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    well_formed: bool | None
    refused: bool | None
    production_status: int
    production_latency_ms: float
    production_first_token_ms: float | None
    production_tokens_out: int | None
    production_well_formed: bool | None
    production_refused: bool | None
    agrees: bool | None  # by the comparison of the loop's task
    answer: str
    error: str | None  # why there is no answer
    other_language: bool | None = None  # than the request's
    production_other_language: bool | None = None


@dataclass(frozen=True)
class Discordant:
    """A user's first pair of a kind and window in which one answer lapsed and the other did not; without a user, how many are alike."""

    lapse: PairLapse
    candidate: bool  # whether the candidate's lapsed
    user: str
    window: int
    count: int = 1


@dataclass(frozen=True)
class PairCounts:
    """Of one kind of lapse: pairs in which it is known of both answers, and lapses of the candidate, of production and of both."""

    pairs: int = 0
    candidate: int = 0
    production: int = 0
    both: int = 0


@dataclass(frozen=True)
class ShadowCounts:
    """Copies with an outcome, those with a good answer, pairs that were compared and that agree, and lapses by kind."""

    copies: int = 0
    good: int = 0
    compared: int = 0
    agreeing: int = 0
    lapses: Mapping[PairLapse, PairCounts] = field(default_factory=dict)


def form_told(exchange: Exchange) -> bool | None:
    """Whether the answer has the form, as far as that tells of the version."""
    return None if exchange.status != ANSWERED or (exchange.well_formed is False and exchange.error is not None) else exchange.well_formed
