"""`POST /v1/feedback`: what a user says of an answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from ftassets.domain.traffic.feedback import LONGEST_TAG, MOST_TAGS, tags_text


class FeedbackRequest(BaseModel):
    """What a user says of an answer; at least one of rating and correction, with comment and tags or without."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="Id of the answer.")
    rating: Literal["up", "down"] | None = Field(None, description="Thumb up or down.")
    correction: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)] | None = Field(
        None, description="The answer as it should have been, whole, as a string."
    )

    comment: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5_000)] | None = Field(
        None, description="Why, in the user's words. Annotators read it; no model does."
    )
    tags: list[str] = Field(
        [],
        description=f"Words for what was wrong or right: at most {MOST_TAGS}, each 1 to {LONGEST_TAG} characters without a comma.",
    )

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, tags: list[str]) -> list[str]:
        tags_text(tags)
        return tags

    @model_validator(mode="after")
    def _says_something(self) -> "FeedbackRequest":
        if self.rating is None and self.correction is None:
            raise ValueError("give a rating (up or down), a correction, or both; a comment or tags come with one of them")
        return self
