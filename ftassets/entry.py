"""How each program of this package starts: what takes time to import is imported inside the guard, so that Ctrl-C shows no traceback.

Python imports this module and `ftassets` outside the guard: both import only small modules of the standard library.
"""

import sys
from importlib import import_module
from typing import NoReturn

INTERRUPTED = 130  # exit code, the one of `ftassets.exits`


def start(module: str, function: str = "main") -> NoReturn:
    """Import a module, call its function and end this process with what it returns; an error ends as `ftassets.exits` says."""
    try:
        from ftassets.exits import guarded

        code = guarded(lambda: getattr(import_module(module), function)())
    except KeyboardInterrupt:  # exits was not imported yet
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


def command_line() -> NoReturn:
    """The `ftassets` command."""
    start("ftassets.cli.main", "app")
