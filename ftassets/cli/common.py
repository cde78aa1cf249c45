"""What the commands share: their arguments, the home's loops and backends, and how they read and write."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ftassets.config.home import Home
from ftassets.errors import InvalidInput

Loop = Annotated[str, typer.Argument(help="Name of the loop.")]
Reason = Annotated[str, typer.Option("--reason", help="Kept in the journal.")]
# the names of the FORMATS tables, which would make each command 0.2 s slower; test_help_names.py compares them
LogFormat = Annotated[str, typer.Option("--format", help="chat, otel, langfuse or litellm.")]
LabelFormat = Annotated[str, typer.Option("--format", help="jsonl, argilla or label_studio.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def known_loop(name: str) -> Any:
    """The loop of that name. Raises UnknownLoop."""
    from ftassets.config.loop_files import loop_named

    return loop_named(name)


def backend(name: str) -> Any:
    """The profile's backend of a capability, for the home of the environment; what other capabilities need may be missing."""
    from ftassets.config import profiles

    return profiles.backend(Home.from_env(), name)


def show_json(value: Any) -> None:
    """One JSON value on stdout; paths are written as text."""
    typer.echo(json.dumps(value, indent=2, default=str, allow_nan=False))


def text_of(path: Path) -> str:
    """The text of a UTF-8 file, with or without byte order mark. Raises InvalidInput, OSError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error


@contextmanager
def dagster_instance() -> Iterator[Any]:
    """Dagster's storage below the home, as `ftassets up` names it."""
    from ftassets.automation.instance import open_instance

    with open_instance(Home.from_env()) as instance:
        yield instance
