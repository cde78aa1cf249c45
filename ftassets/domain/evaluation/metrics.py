"""The metric catalogue: every metric of ours, where its class is, and what the values it gives each row mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ftassets.domain.evaluation.answer_form import AnswerForm, Need

_WORKERS = "ftassets.workers.evaluation.metrics"


@dataclass(frozen=True)
class RowValue:
    """Properties of a metric value that each row has; the smallest is 0.

    `largest` is None where values have no known maximum; gates then count values above `clip` as `clip`. `right_or_wrong` values are 0
    or 1, which allows exact tests.
    `relative_margin`: a gate's margin is a share of production's mean, not a difference.
    """

    largest: float | None = 1.0
    lower_is_better: bool = False
    right_or_wrong: bool = False
    relative_margin: bool = False
    clip: float | None = None


@dataclass(frozen=True)
class Metric:
    """One metric: its class as `module:Class`, and by name the values it gives each row.

    A metric without them describes all rows together: it is reported, and no gate can compare it. `of_likelihoods`: it needs how likely
    a model finds the expected answers, which only models with weights on this machine can say. `needs`: what answers must have.
    """

    implementation: str
    row_values: Mapping[str, RowValue] = field(default_factory=dict)
    of_likelihoods: bool = False
    needs: Need | None = None


CATALOGUE: dict[str, Metric] = {
    "bertscore": Metric(f"{_WORKERS}.bertscore:BertScore", {"precision": RowValue(), "recall": RowValue(), "f1": RowValue()}),
    "bleu": Metric(f"{_WORKERS}.bleu:Bleu"),
    "chrf": Metric(f"{_WORKERS}.chrf:Chrf", {"chrf": RowValue(100.0)}),
    "distinct": Metric(f"{_WORKERS}.distinct:Distinct", {"distinct_1": RowValue(), "distinct_2": RowValue()}),
    "exact_match": Metric(f"{_WORKERS}.exact_match:ExactMatch", {"exact_match": RowValue(right_or_wrong=True)}),
    "f1": Metric(f"{_WORKERS}.f1:F1", needs="classes"),
    "field_accuracy": Metric(f"{_WORKERS}.field_accuracy:FieldAccuracy", {"field_accuracy": RowValue()}, needs="fields"),
    # characters have no upper end: two points of difference would mean nothing; 2,000 are about the 512 tokens of the default limit
    "output_length": Metric(
        f"{_WORKERS}.output_length:OutputLength", {"mean": RowValue(None, lower_is_better=True, relative_margin=True, clip=2000.0)}
    ),
    # nats have no upper end either, but a difference of them means the same everywhere; 12 is about guessing among all tokens
    "perplexity": Metric(
        f"{_WORKERS}.perplexity:Perplexity", {"nll": RowValue(None, lower_is_better=True, clip=12.0)}, of_likelihoods=True
    ),
    "refusal_rate": Metric(f"{_WORKERS}.refusal_rate:RefusalRate", {"refusal_rate": RowValue(lower_is_better=True, right_or_wrong=True)}),
    "rouge": Metric(f"{_WORKERS}.rouge:Rouge", {"rouge1": RowValue(), "rouge2": RowValue(), "rougeL": RowValue()}),
    "tool_calls": Metric(
        f"{_WORKERS}.tool_calls:ToolCalls",
        {
            **{name: RowValue(right_or_wrong=True) for name in ("schema_valid", "name", "arguments")},
            **{f"{name}_calls": RowValue() for name in ("name", "arguments", "right")},
        },
        needs="fields",
    ),
    "validity": Metric(f"{_WORKERS}.validity:Validity", {"validity": RowValue(right_or_wrong=True)}),
}


GATES_OF_CLASSES = ("recall", "cost")  # gate metrics without an entry in the catalogue, which compare the answers' classes


def objection(name: str, form: AnswerForm) -> str | None:
    """Why answers of this form do not have the metric, None when they do or when it is neither of the catalogue nor of a gate."""
    needs: Need | None = "classes" if name in GATES_OF_CLASSES else CATALOGUE[name].needs if name in CATALOGUE else None
    why = form.lacks.get(needs) if needs else None
    return why and f"{name} does not apply: {why}; compare exact_match or another metric"


def row_values() -> dict[str, RowValue]:
    """Every value of the catalogue that rows have, by its dotted name such as rouge.rougeL."""
    return {f"{name}.{value}": known for name, metric in CATALOGUE.items() for value, known in metric.row_values.items()}


def row_value(name: str) -> RowValue:
    """What is known of a dotted name's value; nothing, for a metric of the user's own (module:Class.value)."""
    return row_values().get(name, RowValue(None))
