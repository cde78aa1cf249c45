"""F1 of the classes that answers name."""

from collections.abc import Sequence

from sklearn.metrics import f1_score

from ftassets.domain.evaluation.answer_form import AnswerForm, ToolCall
from ftassets.errors import InvalidInput
from ftassets.workers.evaluation.metrics.base import TextMetric


class F1(TextMetric):
    """`micro`, `macro` and `class:NAME`, each 0..1, of the answers' classes (van Rijsbergen 1979).

    Micro counts every answer, one without a label as class `(none)`: it is the share of right labels. Macro is the plain mean
    of the expected classes, so that models which invent different labels stay comparable on the same rows.
    """

    def _compute(self, predictions: Sequence[str], references: Sequence[str], form: AnswerForm | None = None) -> dict[str, float]:
        form = form or ToolCall()
        if none := form.no_classes(references):
            raise InvalidInput(f"F1 of expected answers: {none}")
        said, wanted = [form.label(text) for text in predictions], [form.label(text) for text in references]
        classes = sorted(set(wanted))
        each = f1_score(wanted, said, labels=classes, average=None, zero_division=0)
        micro = f1_score(wanted, said, average="micro", zero_division=0)
        shown = {f"class:{name}": float(value) for name, value in zip(classes, each, strict=True)}
        return {"micro": float(micro), "macro": float(each.mean()), **shown}
