"""Input of an evaluation process: which models answer which prompts or score which answers, and which metrics are computed."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain.chat import Asked
from ftassets.domain.evaluation.answer_form import CallOrder, TaskType

Measurements = dict[str, dict[str, dict[str, dict[str, float]]]]  # metric -> role -> slice -> value name -> number


class Prompt(Asked):
    """A line of a prompts file: a request under its row's id; what `ExpectedAnswer` has besides is left to it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str


class Ask(BaseModel):
    """One model and one set of prompts; the answers are one Parquet file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path  # folder with merged weights, tokenizer and template
    prompts_file: Path  # JSONL of `Prompt`, and what `ExpectedAnswer` has
    output: Path
    system_prompt: str | None = None  # asked instead of the job's
    decoding: dict[str, Any] = {"do_sample": False}  # see `decoding`
    seed: int = 0  # of sampled answers


class ForgettingJob(BaseModel):
    """A candidate to compare with other models on general prompts, see `forgetting`; each model is a folder of merged weights.

    What it finds is one Parquet file of role, id and kl (nats a token); a model with another vocabulary has no rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Path  # whose answers all read
    candidate: Path
    others: dict[str, Path] = Field(min_length=1)  # role -> folder
    prompts: list[Prompt] = Field(min_length=1)
    tokens: int = 16  # of an answer
    output: Path
    work: Path  # for files of prompts x places x vocabulary x 4 bytes, one a model


class AnswerJob(BaseModel):
    """Asks that share generation settings; asks of one model in a row load it once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system_prompt: str
    max_tokens: int
    batch_size: int = 128
    asks: list[Ask]
    again: bool = False  # other batches than a job without it has: rounding differs, and so may answers
    forgetting: ForgettingJob | None = None  # done by the same process, which has the libraries loaded
    work: Path  # folder for the job's own file


class ExpectedAnswer(BaseModel):
    """The fields of a prompts file's line that a metric needs; the line may also have the request."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    expected: str
    slice: str


class AnsweredPrompt(Prompt):
    """A request with the answer expected to it."""

    expected: str
    slice: str


class Likelihood(BaseModel):
    """One model and one set of expected answers; what it finds is one Parquet file of id, nll (nats, sum of the tokens) and tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path  # folder with merged weights, tokenizer and template
    rows_file: Path  # JSONL of `AnsweredPrompt`
    output: Path
    system_prompt: str


class PerplexityJob(BaseModel):
    """Likelihoods to measure; those of one model in a row load it once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    likelihoods: list[Likelihood] = Field(min_length=1)
    batch_tokens: int = 2048  # of a batch, prompts and padding included
    work: Path  # folder for the job's own file


class Answered(BaseModel):
    """One set of prompts as one role answered it; a role may have several, with slices in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    prompts_file: Path  # JSONL of `ExpectedAnswer`
    answers: Path  # Parquet of an `Ask`, one row a prompt
    likelihoods: Path | None = None  # Parquet of a `Likelihood`, of the same rows; None for a model whose weights are not here
    row_scores: Path | None = None  # where to write Parquet of id and one column per metric value that each row has (float64)


class MetricsJob(BaseModel):
    """Metrics to take of stored answers; all roles must have answered the same rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: list[str] = Field(min_length=1)  # names of ours, or module:Class
    task: TaskType
    label: str  # field of a tool call that names its class
    labels: list[str] | None = None  # those of a classification
    call_schema: dict[str, Any] | None = None  # of tool calls
    calls: CallOrder = "one"
    answered: list[Answered] = Field(min_length=1)
    output: Path  # JSON of `Measurements`
    work: Path  # folder for the job's own files
