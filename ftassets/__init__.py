"""ftassets closes the loop from production traffic to a fine-tuned model that is still good, as a Dagster asset graph."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftassets import definitions
    from ftassets.components.fine_tune_loop import FineTuneLoop
    from ftassets.components.resources import resources
    from ftassets.config.loop import LoopConfig
    from ftassets.errors import FtassetsError

__version__ = "0.1.0"
__all__ = ["FineTuneLoop", "FtassetsError", "LoopConfig", "__version__", "definitions", "resources"]

# imported when first asked for: the gateway and the working processes need none of Dagster, and `ftassets.entry` none of all
_LAZY = {
    "FineTuneLoop": "ftassets.components.fine_tune_loop:FineTuneLoop",
    "FtassetsError": "ftassets.errors:FtassetsError",
    "LoopConfig": "ftassets.config.loop:LoopConfig",
    "definitions": "ftassets.definitions",
    "resources": "ftassets.components.resources:resources",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    place, _, attribute = _LAZY[name].partition(":")
    module = import_module(place)
    return getattr(module, attribute) if attribute else module


def __dir__() -> list[str]:
    return __all__
