"""Metrics by name: ours, or a class of the user's own."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import evaluate

_HERE = "ftassets.workers.evaluation.metrics"
OURS = {
    "bertscore": f"{_HERE}.bertscore:BertScore",
    "bleu": f"{_HERE}.bleu:Bleu",
    "chrf": f"{_HERE}.chrf:Chrf",
    "distinct": f"{_HERE}.distinct:Distinct",
    "exact_match": f"{_HERE}.exact_match:ExactMatch",
    "f1": f"{_HERE}.f1:F1",
    "field_accuracy": f"{_HERE}.field_accuracy:FieldAccuracy",
    "output_length": f"{_HERE}.output_length:OutputLength",
    "perplexity": f"{_HERE}.perplexity:Perplexity",
    "refusal_rate": f"{_HERE}.refusal_rate:RefusalRate",
    "rouge": f"{_HERE}.rouge:Rouge",
    "validity": f"{_HERE}.validity:Validity",
}


class MetricFailed(Exception):
    """A metric cannot be had, or did not give numbers; the message names it and says what to do."""


def load(name: str, cache: Path | None = None, experiment: str | None = None) -> "evaluate.Metric":
    """The metric of a name of `OURS`, or of `module:Class`, a class derived from evaluate.Metric. Raises MetricFailed.

    The metric keeps its rows below `cache` (without one, where `evaluate` does) under the name `experiment`, which must differ
    between processes that share the folder.
    """
    import evaluate

    module, _, attribute = OURS.get(name, name).partition(":")
    if not module or not attribute:
        raise MetricFailed(f"there is no metric {name!r}: ours are {', '.join(OURS)}; write your own as module:Class")
    kind = getattr(_import(name, module), attribute, None)
    if not (isinstance(kind, type) and issubclass(kind, evaluate.Metric)):
        raise MetricFailed(f"metric {name}: {module} has no class {attribute} that is derived from evaluate.Metric")
    place = {} if cache is None else {"cache_dir": str(cache)}
    try:
        return kind(experiment_id=experiment, **place)
    except Exception as error:
        raise MetricFailed(f"metric {name} could not be made: {type(error).__name__}: {error}") from error


def _import(name: str, module: str) -> Any:
    try:
        return import_module(module)
    except Exception as error:  # a module of the user's own may raise anything
        if name in OURS and isinstance(error, ModuleNotFoundError):
            raise MetricFailed(f"metric {name} needs the package {error.name}: run `pip install 'ftassets[metrics]'`") from error
        raise MetricFailed(f"metric {name}: {module} cannot be imported: {type(error).__name__}: {error}") from error
