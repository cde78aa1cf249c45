"""Calls of tools: fit for the schema, the right tools, the right arguments."""

from collections.abc import Sequence

from ftassets.domain.evaluation.answer_form import AnswerForm, ToolCall
from ftassets.errors import InvalidInput
from ftassets.workers.evaluation.metrics.base import RowMetric


class ToolCalls(RowMetric):
    """Shares (0..1) of answers that fit the schema (`schema_valid`), call the right tools (`name`), and have the right `arguments`.

    `name_calls`, `arguments_calls` and `right_calls` are shares of an answer's calls, mean of the answers: one too many or too few
    counts as wrong. Names and arguments are compared apart. An answer cut at the token limit scores 0.
    """

    def rows(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        form: AnswerForm | None = None,
        truncated: Sequence[bool] | None = None,
    ) -> dict[str, list[float]]:
        """The values of each answer."""
        form, cut = form or ToolCall(), truncated or [False] * len(predictions)
        if not isinstance(form, ToolCall):
            raise InvalidInput("tool_calls does not apply: the answers of this task are not calls of tools")
        found: dict[str, list[float]] = {
            name: [] for name in ("schema_valid", "name", "arguments", "name_calls", "arguments_calls", "right_calls")
        }
        for said, wanted, ended in zip(predictions, references, cut, strict=True):
            values = {"schema_valid": float(form.well_formed(said)), **form.scores(said, wanted)._asdict()}
            for name, each in found.items():
                each.append(0.0 if ended else values[name])
        return found
