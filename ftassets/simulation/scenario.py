"""What happens to a simulated loop: its traffic, its users, and events by day. One YAML file."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from ftassets.config.loop import Strict
from ftassets.errors import InvalidInput, in_one_line

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
KINDS = ("topic", "traffic", "feedback", "quality", "outage", "spam", "labels", "pause", "promotion", "rollback")
MOST_REQUESTS = 2000  # a day that are stored: of more, so many are simulated as a sample


class Event(Strict):
    """Something that happens from `day` on, the first day being 0: one of topic to rollback. It lasts `days`."""

    day: int = Field(ge=0, description="First day of it.")
    days: int = Field(1, ge=1, description="How long it lasts. A topic stays.")
    topic: str | None = Field(None, pattern=r"^[a-z]+$", description="Name of a topic that production does not know, and which arrives.")
    share: Share = Field(0.1, description="Of a topic: its share of requests in the end.")
    over: int = Field(1, ge=1, description="Of a topic: days until it has that share.")
    traffic: float | None = Field(None, gt=0, le=1000, description="Times the usual requests.")
    feedback: Share | None = Field(None, description="Share of answers with feedback, in place of the usual one.")
    quality: float | None = Field(None, ge=-1, le=1, description="Added to the share of right answers.")
    outage: Share | None = Field(None, description="Share of requests that fail.")
    spam: int | None = Field(None, ge=1, le=10_000, description="Corrections of one request, each day.")
    users: int = Field(1, ge=1, le=10_000, description="Of spam: who send it, by turns.")
    varied: bool = Field(False, description="Of spam: one word of the request is another one in each.")
    labels: int | None = Field(None, ge=1, le=10_000, description="Answers that people correct each day, of the newest that were wrong.")
    pause: str | None = Field(None, min_length=1, description="A person pauses the loop; the reason.")
    promotion: Literal["unrelated"] | None = Field(None, description="A person promotes a version that learnt nothing new.")
    rollback: Literal[True] | None = Field(None, description="A person goes back to the version before.")

    @model_validator(mode="after")
    def _one_thing(self) -> "Event":
        if len(named := [kind for kind in KINDS if getattr(self, kind) is not None]) != 1:
            raise ValueError(f"an event is one of {', '.join(KINDS)}, this one names {' and '.join(named) or 'none of them'}")
        if self.topic is None and {"share", "over"} & self.model_fields_set:
            raise ValueError("share and over belong to a topic")
        if self.spam is None and {"users", "varied"} & self.model_fields_set:
            raise ValueError("users and varied belong to spam")
        return self

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    def lasts(self, day: int) -> bool:
        """Whether it is there on a day."""
        return self.day <= day < self.day + self.days


class Scenario(Strict):
    """A loop's usual days, and what happens to it."""

    requests: float = Field(600, gt=0, description=f"A day, on average. Of more than {MOST_REQUESTS:,}, so many are simulated.")
    week: tuple[float, float, float, float, float, float, float] = Field(
        (1, 1, 1, 1, 1, 1, 1), description="Requests of each weekday from Monday, relative to each other."
    )
    topics: int = Field(20, ge=2, le=200, description="Topics that production knows at first.")
    feedback: Share = Field(0.02, description="Share of answers whose user says whether they were good.")
    corrects: Share = Field(0.4, description="Share of users who say no that give the right answer too.")
    late: float = Field(0, ge=0, le=30, description="Days after the answer at which feedback comes, on average.")
    complaints_late: float | None = Field(
        None, ge=0, le=30, description="Days after the answer at which thumbs down and corrections come, in place of `late`."
    )
    quality: Share = Field(0.9, description="Share of right answers on topics that production knows.")
    unknown: Share = Field(0.3, description="Share of right answers on topics that it does not know.")
    day_effects: float = Field(0.02, ge=0, le=0.5, description="Standard deviation of a day's share of right answers.")
    learns_from: int = Field(20, ge=1, description="Corrections on a topic from which a training learns it.")
    golden: int = Field(300, ge=1, le=100_000, description="Rows of the golden set, of the topics of requests at the time.")
    trainings: list[Literal["trained", "worse", "breaks", "refused", "failed", "cancelled"]] = Field(
        ["trained"], min_length=1, description="How trainings end, one after the other; the last one again and again. Gates and rollout "
        "decide on what is trained, also if it is 10 points worse on all topics, or breaks: 30 % of its requests fail.",
    )  # fmt: skip
    events: list[Event] = Field([], description="What happens.")
    seed: int = Field(0, ge=0, description="Of the random numbers.")

    @model_validator(mode="after")
    def _some_day_has_requests(self) -> "Scenario":
        if min(self.week) < 0 or not any(self.week):
            raise ValueError("week has a weight of 0 or more for each weekday, and one above 0")
        return self

    @property
    def ordered(self) -> list[Event]:
        """Events by their day."""
        return sorted(self.events, key=lambda event: event.day)


def read_scenario(path: Path) -> Scenario:
    """The scenario of a file. Raises InvalidInput, which names the fields; OSError when it cannot be read."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not YAML: {in_one_line(error)}") from None
    try:
        return Scenario.model_validate(content if content is not None else {})
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg'].removeprefix('Value error, ')}" for each in error.errors()
        )
        raise InvalidInput(f"{path} is not a valid scenario: {found}") from None
