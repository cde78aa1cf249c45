"""What an evaluation process is told: which models answer which prompts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Ask(BaseModel):
    """One model and one set of prompts; the answers are one Parquet file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path  # folder with merged weights, tokenizer and template
    prompts_file: Path  # JSONL of {"id", "prompt"}
    output: Path


class AnswerJob(BaseModel):
    """Asks that share system prompt and generation settings; asks of one model in a row load it once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system_prompt: str
    max_tokens: int
    batch_size: int = 128
    asks: list[Ask]
    work: Path  # folder for the job's own file
