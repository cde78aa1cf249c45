"""What the commands share: their arguments, the home's loops and backends, and how they say no."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ftassets.config.home import Home

Loop = Annotated[str, typer.Argument(help="Name of the loop.")]
Reason = Annotated[str, typer.Option("--reason", help="Kept in the journal.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def known_loop(name: str) -> Any:
    """The loop of that name; ends the command naming those there are."""
    from ftassets.config.loop_files import read_loops

    loops = read_loops()
    if name not in loops:
        raise stop(f"there is no loop {name!r}; there is: {', '.join(loops)}")
    return loops[name]


def backend(name: str) -> Any:
    """The profile's backend of a capability, for the home of the environment."""
    from ftassets.config.profiles import backends

    return backends(Home.from_env())[name]()


@contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """What a command cannot do, as one sentence and exit code 1."""
    try:
        yield
    except errors as error:
        raise stop(str(error)) from error


def stop(sentence: str) -> typer.Exit:
    """Says why a command ends; to be raised."""
    typer.secho(sentence, err=True, fg=typer.colors.RED)
    return typer.Exit(1)


@contextmanager
def dagster_instance() -> Iterator[Any]:
    """Dagster's storage below the home, as `ftassets up` names it."""
    from ftassets.automation.instance import open_instance

    with open_instance(Home.from_env()) as instance:
        yield instance
