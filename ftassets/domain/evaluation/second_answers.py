"""Production's second answers to a sample of the golden rows: what the evaluation's own noise is measured by."""

from pydantic import BaseModel, ConfigDict

from ftassets.domain.evaluation.scoring import Score

SECOND_ANSWERS = 200  # golden rows that production answers twice


class SecondAnswers(BaseModel):
    """Answers made without the stored ones and in other batches, or asked of the endpoint again.

    `scores` are theirs, `differing` counts those that are another text than the first. `seconds` is what they took, `of_seconds` what the
    whole evaluation took, theirs included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scores: list[Score]
    differing: int
    answers: str  # name of the stored file of the answers
    row_scores: list[str] = []  # names of the stored files of their row scores, none without metrics
    seconds: float
    of_seconds: float
