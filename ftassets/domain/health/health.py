"""What is known of a loop at one time: its monitors, releases, triggers, traffic and automation, in one document."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, FiniteFloat

from ftassets.domain.formats import Stored

LATE = 600.0  # seconds after its time at which a request is stored at the latest
REMEMBERED = 14  # days whose longest pause between requests is known


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Monitor(_Part):
    """One kind of report: the newest one, and when one is due. Times in epoch seconds.

    `at`, `verdict` and `version` are of the newest report, None before the first; `wrong` says that it found something a person should
    know, `as_released` that the version's own evaluation found the same. Since `unmeasured_since` reports have had too little data for a
    verdict. `every` is the longest time between two reports in seconds, None for a report that comes with another one; `next_at` is the
    time of the next one. `note` says what it compares with, or what it waits for and until when.
    """

    name: str
    at: FiniteFloat | None = None
    verdict: str | None = None
    version: str | None = None
    wrong: bool = False
    as_released: bool = False
    unmeasured_since: FiniteFloat | None = None
    every: FiniteFloat | None = None
    next_at: FiniteFloat | None = None
    note: str = ""


class NewestRelease(_Part):
    """The newest release of a loop. `cause` and `reason` say why it does not start by itself, None when nothing is in its way.

    `command` is what a person can type then; empty if nothing helps.
    """

    version: str
    at: FiniteFloat
    cause: str | None = None
    reason: str = ""
    command: str = ""


class Trigger(_Part):
    """The newest decision of the retrain sensor, and what it rests on; `since` is when the trigger began to wait for labels or a person."""

    at: FiniteFloat
    action: str
    trigger: str | None
    cause: str
    reason: str
    new_labels: int
    labels_per_day: FiniteFloat | None
    retrains_in_quarter: int
    max_retrains: int | None
    schedule_due_at: FiniteFloat | None
    since: FiniteFloat | None = None


class Traffic(_Part):
    """Requests of the loop: when the newest one came, and the longest time between two of them by day (days since 1970)."""

    last_at: FiniteFloat | None = None
    pauses: dict[int, FiniteFloat] = {}

    @property
    def longest_pause(self) -> float | None:
        """Seconds; None before a whole week of days with requests is known."""
        return max(self.pauses.values()) if len(self.pauses) > 7 else None

    def after(self, newest: float | None, looked: float | None, now: float) -> "Traffic":
        """What is known once the newest request at `now` is. `looked` is when this was done last.

        A pause while no automation ran is not known: requests may have come in it. Nor is one that ends before the last time this was done:
        rows were imported. While no request comes, what was known of the two weeks before stays.
        """
        if newest is None:
            return self
        day = int(newest // 86400)
        pauses = {each: pause for each, pause in self.pauses.items() if each > day - REMEMBERED}
        known = self.last_at is not None and looked is not None and now - looked < 3600.0 and newest >= looked - LATE
        if known and self.last_at is not None and newest > self.last_at:
            pauses[day] = max(pauses.get(day, 0.0), newest - self.last_at)
        return Traffic(last_at=max(newest, self.last_at or newest), pauses=pauses)


class Failures(_Part):
    """Requests to production in the last `seconds`, and those of them that failed by the server's fault (5xx)."""

    seconds: FiniteFloat
    requests: int = 0
    failed: int = 0

    @property
    def many(self) -> bool:
        """Whether more than 5 % failed."""
        return self.failed > 0.05 * self.requests


class Answers(_Part):
    """Whether production answers: why its server does not (None if it does), and requests that failed.

    `longer` is counted where a few of the `recent` ones failed, which alone say little.
    """

    silent: str | None = None
    recent: Failures = Failures(seconds=600.0)
    longer: Failures = Failures(seconds=7200.0)


class Feedback(_Part):
    """Requests of the loop, and feedback on production's answers, on an average day of the week before `at`."""

    at: FiniteFloat
    requests_per_day: FiniteFloat
    feedback_per_day: FiniteFloat
    corrections_per_day: FiniteFloat


class Tick(_Part):
    """The newest tick of a sensor or schedule; `error` is what it failed with."""

    name: str
    at: FiniteFloat
    error: str | None = None


class Daemon(_Part):
    """A part of Dagster's daemon: its last sign of life, None without any, and what it failed with."""

    name: str
    at: FiniteFloat | None
    error: str | None = None


class Automation(_Part):
    """What Dagster does for the loop. A daemon is known by the heartbeats that it writes into Dagster's storage."""

    daemons: tuple[Daemon, ...] = ()
    ticks: tuple[Tick, ...] = ()
    switched_off: tuple[str, ...] = ()


class Concern(_Part):
    """Something that a person should know. `subject` is a section of the runbook; with `detail` it is this concern and no other.

    `command` is the next command to type; empty if nothing helps. `since` is when it began, as far as that is known.
    """

    subject: str
    severity: str
    text: str
    detail: str = ""
    command: str = ""
    since: FiniteFloat | None = None

    @property
    def key(self) -> str:
        """Names the concern in commands and notices."""
        return f"{self.subject}:{self.detail}" if self.detail else self.subject


class Health(Stored):
    """What is known of a loop at `at` (epoch seconds), and what of it a person should know.

    `gateway` is why the gateway cannot be reached, `unrecorded` why it cannot record answers; None where that is not so. Without the
    gateway the versions are those that were known last.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "health"

    at: FiniteFloat
    mode: str
    gateway: str | None = None
    unrecorded: str | None = None
    production: str | None = None
    since: FiniteFloat | None = None
    answers: Answers = Answers()
    candidate: str | None = None
    weight: int = 0
    paused: str | None = None
    paused_since: FiniteFloat | None = None
    monitors: tuple[Monitor, ...] = ()
    release: NewestRelease | None = None
    trigger: Trigger | None = None
    traffic: Traffic = Traffic()
    feedback: Feedback | None = None
    automation: Automation = Automation()
    concerns: tuple[Concern, ...] = ()
