"""What an evaluation process is told: which models answer which prompts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class AnswerJob(BaseModel):
    """Prompts for one or more models; the process writes one Parquet file for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts_file: Path  # JSONL of {"id", "prompt"}
    system_prompt: str
    max_tokens: int
    batch_size: int = 32
    models: dict[str, Path]  # output file -> folder with merged weights, tokenizer and template
