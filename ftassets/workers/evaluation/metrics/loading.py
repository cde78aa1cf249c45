"""The class of a metric: one of the catalogue, or the user's own."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftassets.domain.evaluation.metrics import CATALOGUE
from ftassets.errors import FtassetsError

if TYPE_CHECKING:
    import evaluate


class MetricFailed(FtassetsError):
    """A metric could not be loaded or did not return numbers; the message names it and says what to do."""


def load(name: str, cache: Path | None = None, experiment: str | None = None) -> "evaluate.Metric":
    """The metric of a name of `CATALOGUE`, or of `module:Class`, a class derived from evaluate.Metric. Raises MetricFailed.

    The metric keeps its rows below `cache` (without one, where `evaluate` does) under the name `experiment`, which must differ
    between processes that share the folder.
    """
    evaluate = _library()
    known = CATALOGUE.get(name)
    module, _, attribute = (known.implementation if known else name).partition(":")
    if not module or not attribute:
        raise MetricFailed(f"there is no metric {name!r}: ours are {', '.join(CATALOGUE)}; write your own as module:Class")
    kind = getattr(_import(name, module), attribute, None)
    if not (isinstance(kind, type) and issubclass(kind, evaluate.Metric)):
        raise MetricFailed(f"metric {name}: {module} has no class {attribute} that is derived from evaluate.Metric")
    place = {} if cache is None else {"cache_dir": str(cache)}
    try:
        return kind(experiment_id=experiment, **place)
    except Exception as error:
        raise MetricFailed(f"metric {name} could not be made: {type(error).__name__}: {error}") from error


def _import(name: str, module: str) -> Any:
    if name not in CATALOGUE and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: a module there is found, and none takes the place of a library
    try:
        return import_module(module)
    except Exception as error:  # a module of the user's own may raise anything
        if name in CATALOGUE and isinstance(error, ModuleNotFoundError):
            raise MetricFailed(f"metric {name} needs the package {error.name}: run `pip install 'ftassets[metrics]'`") from error
        raise MetricFailed(f"metric {name}: {module} cannot be imported: {type(error).__name__}: {error}") from error


def _library() -> Any:
    """The library evaluate. Its evaluators, which nothing here uses, bring in transformers' pipelines and torch, which takes nine of ten
    seconds; without transformers it leaves them out."""
    absent = "transformers" not in sys.modules
    if absent:
        sys.modules["transformers"] = None  # type: ignore[assignment]
    try:
        import evaluate
    finally:
        if absent:
            del sys.modules["transformers"]
    return evaluate
