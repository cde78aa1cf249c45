"""A judge model's choices between two answers, and how far they can be trusted."""

from pydantic import BaseModel, ConfigDict


class Preference(BaseModel):
    """One row: 1 when the judge prefers the candidate's answer in both orders, -1 for production's, 0 for a tie or a contradiction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    slice: str
    value: float


class Calibration(BaseModel):
    """The judge against people on pairs they had labelled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int
    agreement: float
    kappa: float
    first_position: float  # share of decided answers that chose what was shown first; 0.5 is no bias
