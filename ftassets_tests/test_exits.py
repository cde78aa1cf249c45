"""How programs end on an error."""

import errno
import os
import sqlite3

import dagster as dg
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from ftassets.errors import FtassetsError, InvalidInput
from ftassets.exits import DEBUG, FAILED, INTERRUPTED, ending, guarded


class Settings(BaseModel):
    number: int


def invalid() -> ValidationError:
    with pytest.raises(ValidationError, match="number") as error:
        Settings.model_validate({"number": "s3cr3t"})
    return error.value


FORESEEN = [
    (InvalidInput("give a number"), "give a number"),
    (FtassetsError(), "FtassetsError"),
    (dg.Failure("materialize it first"), "materialize it first"),
    (dg.DagsterInvariantViolationError("no such\n  thing"), "Dagster: no such thing"),
    (sqlite3.DatabaseError("file is not a database"), "a database file below the home cannot be used: file is not a database"),
    (yaml.YAMLError("line 3"), "a file is not valid YAML: line 3"),
    (invalid(), "Settings is not valid: number: Input should be a valid integer"),
    (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: Permission denied: give this user the right to it"),
    (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a", None, "/b"), "/a and /b: No such file or directory"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "a file is not utf-8 text: byte 0"),
    (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), "not UTF-8 text"),
    (UnicodeEncodeError("ascii", "\xe9", 0, 1, "ordinal not in range"), "cannot be written as ascii: set PYTHONIOENCODING"),
    (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/y"), "/x/y: Not a directory: a part of this path is a file"),
    (MemoryError(), "too little memory"),
    (ModuleNotFoundError("No module named 'hassil'", name="hassil.parser"), "pip install 'ftassets[demo]'"),
    (ModuleNotFoundError("No module named 'torch'", name="torch"), "the package torch is not installed"),
]


@pytest.mark.parametrize(("error", "words"), FORESEEN, ids=[type(error).__name__ for error, _ in FORESEEN])
def test_what_a_user_can_cause_is_one_sentence(error: Exception, words: str) -> None:
    found = ending(error)
    assert words in found.sentence
    assert (found.code, found.bug, "s3cr3t" in found.sentence) == (FAILED, False, False)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AssertionError(), ModuleNotFoundError("x", name="ftassets.gone")])
def test_anything_else_is_called_a_bug(error: Exception) -> None:
    found = ending(error)
    assert found.bug
    assert found.sentence.startswith(type(error).__name__)
    assert f"{DEBUG}=1" in found.sentence


def ends(error: BaseException) -> int:
    def main() -> int:
        raise error

    return guarded(main)


def test_a_program_that_logs_shows_the_traceback_of_a_bug_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEBUG, raising=False)
    assert guarded(lambda: 0) == 0
    assert ends(InvalidInput("give a number")) == FAILED
    assert capsys.readouterr().err == "give a number\n"
    assert ends(KeyError("x")) == FAILED
    *lines, last = capsys.readouterr().err.splitlines()
    assert "Traceback" in lines[0]
    assert last.startswith("KeyError: 'x' (a bug in ftassets")
    assert ends(KeyboardInterrupt()) == INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setitem(os.environ, DEBUG, "1")
    assert ends(InvalidInput("give a number")) == FAILED
    assert "Traceback" in capsys.readouterr().err
