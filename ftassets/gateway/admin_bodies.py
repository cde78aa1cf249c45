"""Bodies and queries of the admin API."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="Digest of the version, 64 hex characters.")]
Weight = Annotated[int, Field(ge=1, le=100, description="Percent of the loop's traffic.")]
Lease = Annotated[float, Field(gt=0, le=366 * 86400, description="Seconds until the candidate loses its traffic unless renewed.")]
By = Annotated[
    str, StringConstraints(max_length=2000), Field(description="Who asks, for the journal: run:ID, sensor:NAME, or a login name.")
]
Reason = Annotated[str, StringConstraints(max_length=2000), Field(description="Why, for the journal.")]

MOST = 2**53  # the largest whole number that every reader of JSON has


class Body(BaseModel):
    """A body without unknown fields."""

    model_config = ConfigDict(extra="forbid")


class Stage(Body):
    """Start a version without traffic."""

    digest: Digest
    seconds: Annotated[float, Field(gt=0, le=366 * 86400, description="Seconds until it is ended.")]


class Unstage(Body):
    """End a staged version."""

    digest: Digest


class Start(Body):
    """Give a version its first traffic, or copies of it."""

    digest: Digest
    weight: Annotated[int, Field(ge=0, le=100, description="Percent of the loop's traffic; 0 starts it in shadow.")]
    lease: Lease
    by: By
    reason: Reason


class Ramp(Body):
    """Change the candidate's weight."""

    weight: Weight
    lease: Lease
    by: By
    reason: Reason
    candidate: Annotated[Digest | None, Field(description="The candidate that is meant; with another one nothing changes.")] = None


class Renew(Body):
    """Renew the candidate's lease."""

    lease: Lease


class Rollback(Body):
    """Take the candidate out, or go back to the standby."""

    by: By
    reason: Reason


class JournalQuery(Body):
    """Which changes are wanted."""

    after: Annotated[int, Field(ge=0, le=MOST, description="Only entries with a larger number.")] = 0
    before: Annotated[int | None, Field(ge=0, le=MOST, description="Only entries with a smaller number.")] = None
    loop: Annotated[str | None, Field(description="Only entries of this loop.")] = None
    newest: Annotated[int | None, Field(ge=1, le=MOST, description="Only so many of the newest entries.")] = None
