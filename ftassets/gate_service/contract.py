"""Requests and responses of the gate service, and what it exchanges with the process of one evaluation."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ftassets.config.loop import LoopConfig
from ftassets.domain.gates.result import GateResult
from ftassets.errors import FtassetsError

API_VERSION = "1"  # of what is asked and answered, whatever release of the package serves it
GOLDEN_SET = r"^[a-z][a-z0-9_]{0,40}(@[0-9a-f]{40,64})?$"


class EvaluateRequest(BaseModel):
    """One version to evaluate with the gates of a loop."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model_path: Annotated[str, StringConstraints(min_length=1, max_length=4096)] = Field(
        description="Digest of a version (12 hex characters or more), or the path of its folder below the home's `versions`."
    )
    golden_set_id: Annotated[str, StringConstraints(pattern=GOLDEN_SET, max_length=110)] = Field(
        description="LOOP, for its newest golden set, or LOOP@COMMIT of the dataset store."
    )
    baseline_f1: float = Field(ge=0, le=1, allow_inf_nan=False, description="Macro F1 that the version is compared with.")
    threshold: float = Field(ge=-1, le=1, allow_inf_nan=False, description="Gain over `baseline_f1` that the 95 % lower bound must reach.")
    loop: Annotated[str, StringConstraints(max_length=41)] | None = Field(None, description="Must be the loop of the golden set.")


class GateAnswer(BaseModel):
    """Verdicts of the gates on a version, and their evidence."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    passed: bool = Field(alias="pass", description="Whether every verdict is PASS.")
    f1_score: float | None = Field(description="Macro F1 of the label on the golden rows; null where their answers have no label.")
    latency_ms_p99: float | None = Field(
        description="99th percentile of the version's response times on its real server, over as many requests as the loop's latency "
        "gate asks for, a few at once, while production answers the same ones; null when not measured, see `message`."
    )
    message: str = Field(description="The outcome in a few sentences, with all that limits it.")
    verdicts: list[GateResult] = Field(description="One per gate of the loop, then the caller's own condition.")
    loop: str
    version: str = Field(description="Digest of the version that was evaluated.")
    golden_commit: str
    compared_with: str = Field(description="Digest of the version in production, or of the untuned base before there is one.")


class Denied(BaseModel):
    """Why there is no verdict."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    passed: bool = Field(False, alias="pass", description="Always false.")
    code: str = Field(description="For programs: the kind of error.")
    message: str = Field(description="What happened, why, and what to do next.")


class EvaluationJob(BaseModel):
    """Input of the process of one evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str  # a UUID
    home: Path
    loop: LoopConfig
    version: str  # digest
    golden_commit: str
    newest_golden: bool  # whether that commit is the loop's newest golden set
    wanted_f1: float  # the caller's condition: at least this much

    @property
    def work(self) -> Path:
        """Folder of the job's own files."""
        return self.home / "work" / f"gate-{self.id}"

    @property
    def file(self) -> Path:
        """Where the process finds this job."""
        return self.work / "job.json"

    @property
    def answer(self) -> Path:
        """Where the process leaves its `GateAnswer`."""
        return self.work / "answer.json"


class BadRequest(FtassetsError):
    """The request cannot be evaluated: the message says what is wrong with it."""
