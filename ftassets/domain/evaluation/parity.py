"""Whether training stack, merged copy and model server are the same model: what is compared, and what was found."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ftassets.domain.chat import Asked
from ftassets.domain.evaluation.answer_form import AnswerForm


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParityRow(_Frozen):
    """One request with the answers of the merged copy and of the server."""

    asked: Asked
    merged: str
    server: str


class ParityJob(_Frozen):
    """What an evaluation process needs to compare one candidate's three forms."""

    base: Path  # folder with weights, tokenizer and template the adapter was trained on
    adapter: Path | None  # None of a version all of whose weights were trained
    merged: Path
    system_prompt: str
    rows: list[ParityRow]
    output: Path  # JSON of `Agreement`
    work: Path  # folder for the job's own file


class Agreement(_Frozen):
    """How far tokens agree, a number a prompt: (agreeing tokens, tokens compared)."""

    adapter: list[tuple[int, int]]
    server: list[tuple[int, int]]
    logprob_gap: float | None
    tokenizer_same: bool
    adapter_ms: float
    merged_ms: float


class Parity(_Frozen):
    """One candidate seen through its three forms, on the same prompts."""

    prompts: int
    adapter_tokens: int  # tokens of the merged copy's answers and their ends, each predicted again by base and adapter
    adapter_agree: int  # ... with the same most likely token
    adapter_shares: list[float]  # ... as a share of each prompt's tokens
    logprob_gap: float | None  # mean absolute difference of log probability, in nats, of what the merged copy finds most likely
    server_tokens: int  # tokens of the merged copy's answers and the server's, position by position
    server_agree: int
    server_shares: list[float]  # ... as a share of each prompt's tokens
    valid_merged: int  # answers in the form the task asks for
    valid_server: int
    valid_lost: int  # prompts whose answer has that form from the merged copy, and not from the server
    tokenizer_same: bool  # tokenizer and chat template of the training stack are those of the merged copy
    adapter_ms: float  # per new token, base and adapter, one request at a time
    merged_ms: float


def parity_of(found: Agreement, rows: Sequence[ParityRow], form: AnswerForm, tokenizer_as_published: bool) -> Parity:
    """What was found about `rows`, as the gate reads it. Raises ValueError when `found` is about other rows."""
    if not len(found.adapter) == len(found.server) == len(rows):
        raise ValueError(f"{len(rows)} prompts were compared, {len(found.adapter)} and {len(found.server)} results came back")
    merged, server = ([form.well_formed(text) for text in texts] for texts in ([r.merged for r in rows], [r.server for r in rows]))
    return Parity(
        prompts=len(rows),
        adapter_tokens=sum(total for _, total in found.adapter),
        adapter_agree=sum(agree for agree, _ in found.adapter),
        adapter_shares=[_share(*counts) for counts in found.adapter],
        logprob_gap=found.logprob_gap,
        server_tokens=sum(total for _, total in found.server),
        server_agree=sum(agree for agree, _ in found.server),
        server_shares=[_share(*counts) for counts in found.server],
        valid_merged=sum(merged),
        valid_server=sum(server),
        valid_lost=sum(before and not after for before, after in zip(merged, server, strict=True)),
        tokenizer_same=found.tokenizer_same and tokenizer_as_published,
        adapter_ms=found.adapter_ms,
        merged_ms=found.merged_ms,
    )


def _share(agree: int, total: int) -> float:
    return agree / total if total else 1.0  # two empty answers are the same
