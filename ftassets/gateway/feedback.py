"""`POST /v1/feedback`: what a user says of an answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class FeedbackRequest(BaseModel):
    """What a user says of an answer; at least one of rating and correction, with a comment or without."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="Id of the answer.")
    rating: Literal["up", "down"] | None = Field(None, description="Thumb up or down.")
    correction: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)] | None = Field(
        None, description="The answer as it should have been, whole, as a string."
    )

    comment: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5_000)] | None = Field(
        None, description="Why, in the user's words. Annotators read it; no model does."
    )

    @model_validator(mode="after")
    def _says_something(self) -> "FeedbackRequest":
        if self.rating is None and self.correction is None:
            raise ValueError("give a rating (up or down), a correction, or both; a comment comes with one of them")
        return self
