"""What a guardrail counts: answers that are bad in one respect, which the traffic log can tell without reading a text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ftassets.domain.traffic.exchange import ANSWERED


class Lapse(StrEnum):
    """One respect in which an answer may be bad."""

    ERROR = "error"  # the server failed; requests that a client got wrong or broke off are neither good nor bad
    MALFORMED = "malformed"  # an answer without the task's form, unless the client's own settings explain it
    SLOW = "slow"  # an answer that took longer than a limit
    LATE = "late"  # a streamed answer whose first token took longer than a limit
    LONG = "long"  # an answer of more tokens than a limit
    REFUSED = "refused"  # an answer that declines
    OTHER_LANGUAGE = "other_language"  # an answer in another language than its request
    THUMB_DOWN = "thumb_down"  # of answers with feedback
    CORRECTED = "corrected"  # of answers with feedback


LIMITED = {Lapse.SLOW: "latency_ms", Lapse.LATE: "first_token_ms", Lapse.LONG: "tokens_out"}  # and the field that the limit is of
TOLD = {Lapse.REFUSED: "refused", Lapse.OTHER_LANGUAGE: "other_language"}  # and the field that says so
OF_ANSWER = (Lapse.ERROR, Lapse.MALFORMED, *LIMITED, *TOLD)  # known with the answer
OF_FEEDBACK = (Lapse.THUMB_DOWN, Lapse.CORRECTED)  # known when a user says so

Limits = Mapping[tuple[str, Lapse], float]  # by version; without one, no answer lapses in this respect, and none is good


@dataclass(frozen=True)
class Ended:
    """How one exchange ended, as the log has it: no text. `malformed` is None if the form was not judged, or the client explains it."""

    user: str
    status: int
    malformed: bool | None
    latency_ms: float
    first_token_ms: float | None
    tokens_out: int | None
    refused: bool | None = None
    other_language: bool | None = None

    def lapsed(self, lapse: Lapse, limit: float | None = None) -> bool | None:
        """Whether it is bad in one of the respects `OF_ANSWER`; None where that is not known."""
        if lapse is Lapse.ERROR:
            return self.status >= 500 if self.status == ANSWERED or self.status >= 500 else None
        if self.status != ANSWERED:
            return None
        if lapse is Lapse.MALFORMED:
            return self.malformed
        if lapse in TOLD:
            told: bool | None = getattr(self, TOLD[lapse])
            return told
        value = getattr(self, LIMITED[lapse])
        return None if value is None or limit is None else bool(value > limit)


@dataclass(frozen=True)
class FirstLapse:
    """A user's first lapse of a kind in a window, at this version and weight (percent); without a user, the number that are alike."""

    lapse: Lapse
    version: str
    weight: float
    user: str
    window: int
    count: int = 1


@dataclass(frozen=True)
class LapseCounts:
    """Of one kind, sums over the users of a version who have answers that may lapse: of answers and lapses, their squares and products.

    `most` are the lapses of one user. A request without a user counts as a user of its own.
    """

    users: int = 0
    answers: int = 0
    lapses: int = 0
    answers_squared: int = 0
    lapses_squared: int = 0
    product: int = 0
    most: int = 0

    @property
    def rate(self) -> float:
        """Share of the answers that lapse; 0 without any."""
        return self.lapses / self.answers if self.answers else 0.0


@dataclass(frozen=True)
class Pair:
    """The two versions of a canary, and the limits of either."""

    candidate: str
    production: str
    limits: Limits = field(default_factory=dict)
