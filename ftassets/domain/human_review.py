"""People look at a sample of the candidate's answers."""

from pydantic import BaseModel, ConfigDict


class Review(BaseModel):
    """What people said of the sample of one report: row id -> good or not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    report: str
    verdicts: dict[str, bool]
    by: str
    at: float
