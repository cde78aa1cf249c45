"""`python -m ftassets.config.reference`: every field of a loop file with its default, as Markdown, from the schema itself."""

from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ftassets.config.loop import (
    Dataset,
    Drift,
    EvaluationSet,
    LlmJudgeSettings,
    LoopConfig,
    Monitors,
    Notify,
    PairwiseJudgeSettings,
    ReferenceModel,
    Release,
    RetrainOn,
    Rollout,
    Task,
    TeacherSettings,
    Train,
)
from ftassets.domain.gates.gate import Gate
from ftassets.reporting.tables import markdown_table

SECTIONS: dict[str, type[BaseModel]] = {
    "attributes": LoopConfig,
    "task": Task,
    "dataset": Dataset,
    "dataset.teacher": TeacherSettings,
    "train": Train,
    "sets (a list)": EvaluationSet,
    "gates (a list)": Gate,
    "llm_judge": PairwiseJudgeSettings,
    "reference_model": ReferenceModel,
    "release": Release,
    "retrain_on": RetrainOn,
    "retrain_on.drift": Drift,
    "rollout": Rollout,
    "monitors": Monitors,
    "monitors.llm_judge": LlmJudgeSettings,
    "notify": Notify,
}


def loop_file_page() -> str:
    """The page `docs/loop-file.md`."""
    parts = [
        "# The loop file\n",
        "Every field and its default. Durations are numbers of seconds or `30s`, `5m`, `24h`, `7d`; margins are numbers or `20%`.",
        "A field that is not listed is refused with file and line. This page is written by `python -m ftassets.config.reference`.",
    ]
    for name, model in SECTIONS.items():
        parts.append(f"\n## {name}\n\n{(model.__doc__ or '').strip()}\n")
        rows = [(f"`{field}`", _default(info), info.description or "") for field, info in model.model_fields.items()]
        parts.append(markdown_table(["field", "default", "meaning"], rows))
    return "\n".join(parts) + "\n"


def _default(info: Any) -> str:
    if info.default is PydanticUndefined:
        return "required"
    if isinstance(info.default, BaseModel):
        return "see below"
    return f"`{info.default}`" if info.default not in (None, "") else ""


if __name__ == "__main__":
    print(loop_file_page(), end="")
