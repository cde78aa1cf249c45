"""What the commands share: their arguments, the home's loops and backends, and how they read and write."""

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar, cast

import typer

from ftassets.config.home import Home
from ftassets.domain.file_formats import AUTO, LABELS, TRAFFIC
from ftassets.errors import InvalidInput

if TYPE_CHECKING:
    from ftassets.domain.dataset.rows import Quarantined

Loop = Annotated[str, typer.Argument(help="Name of the loop.")]
Reason = Annotated[str, typer.Option("--reason", help="Kept in the journal.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it; without it the login name.")]
LogFormat = Annotated[str, typer.Option("--format", help=f"{', '.join((AUTO, *TRAFFIC))}; {AUTO}: the one that carries most of the file.")]
LabelFormat = Annotated[str, typer.Option("--format", help=f"{', '.join(LABELS)}.")]
Force = Annotated[bool, typer.Option("--force", help="Write over what is there; never over the input.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
LoopsOption = Annotated[
    Path | None, typer.Option("--loops", help="Folder of the loop files; without it that of the Dagster project, or of `ftassets up`.")
]

Given = ParamSpec("Given")
Result = TypeVar("Result")


def needs_loops(command: Callable[Given, Result]) -> Callable[Given, Result]:
    """Give a command the option `--loops`: for it and what it starts, the same as the environment variable FTASSETS_LOOPS."""

    @functools.wraps(command)
    def with_loops(*args: Any, loops: Path | None = None, **named: Any) -> Result:
        before = os.environ.get("FTASSETS_LOOPS")
        try:
            if loops is not None:
                os.environ["FTASSETS_LOOPS"] = str(loops.absolute())
            return command(*args, **named)
        finally:
            if before is None:
                os.environ.pop("FTASSETS_LOOPS", None)
            else:
                os.environ["FTASSETS_LOOPS"] = before

    # typer reads both
    option = inspect.Parameter("loops", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LoopsOption)
    signature = inspect.signature(command)
    with_loops.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    with_loops.__annotations__ = {**command.__annotations__, "loops": LoopsOption}
    return cast(Callable[Given, Result], with_loops)


def known_loops() -> Any:
    """All loops by name whose files can be used; the others are warned of. Raises NoLoops, ConfigurationError."""
    return known_loops_folder().loops


def known_loop(name: str) -> Any:
    """The loop of that name; other loops' files that cannot be used are warned of. Raises UnknownLoop, NoLoops, ConfigurationError."""
    return known_loops_folder(name).named(name)


def known_loop_names() -> set[str]:
    """Names of all loops, also of those whose files cannot be used, as far as their names can be told. Raises as `known_loops`."""
    found = known_loops_folder()
    return {*found.loops, *(name for file in found.broken for name in file.names)}


def known_loops_folder(name: str | None = None) -> Any:
    """The folder of the loop files; warns of the files that cannot be used, but of that of a loop `name`. Raises NoLoops."""
    from ftassets.config.loops_folder import loops_folder

    found = loops_folder(Home.from_env())
    for file in found.broken:
        if name is None or name in found.loops or name not in file.names:  # otherwise the command says it and ends
            typer.secho(f"this loop file is left out, see `ftassets check`: {file.problem}", fg=typer.colors.YELLOW, err=True)
    return found


def not_to_write_over() -> list[Path]:
    """The home, and the loop files of all loops with the files that they name: a command with `--out` may read any of them."""
    from ftassets.config.loop_files import data_files, loop_paths

    home, found = Home.from_env(), known_loops_folder()
    return [home.root, *loop_paths(found.path), *(path for loop in found.loops.values() for path in data_files(loop))]


def backend(name: str) -> Any:
    """The profile's backend of a capability, for the home of the environment; what other capabilities need may be missing."""
    from ftassets.config import profiles

    return profiles.backend(Home.from_env(), name)


def show_json(value: Any) -> None:
    """One JSON value on stdout; paths are written as text."""
    typer.echo(json.dumps(value, indent=2, default=str, allow_nan=False))


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout that cuts nothing: a narrow terminal wraps cells, a file or pipe gets the width that the table needs."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    if not console.is_terminal:
        console.width = console.measure(table, options=console.options.update(max_width=sys.maxsize)).maximum
    console.print(table)


def show_refused(refused: Sequence["Quarantined"]) -> None:
    """The places and reasons of the first 20, and how many more there are."""
    for item in refused[:20]:
        typer.echo(f"  {item.where}: {item.reason}")
    if len(refused) > 20:
        typer.echo(f"  and {len(refused) - 20:,} more, which --json lists")


def text_of(path: Path) -> str:
    """The text of a file in any Unicode encoding, with or without byte order mark, also packed by gzip.

    Raises InvalidInput, with what the file probably is, and OSError.
    """
    from ftassets.cli.commands.import_traffic import guess_of
    from ftassets.config.text_lines import lines_of

    content = b"".join(lines_of(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = guess_of(path)
        advice = f"it is probably {found.words}" if found else "save it as UTF-8"
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start}): {advice}") from error


@contextmanager
def dagster_instance() -> Iterator[Any]:
    """Dagster's storage below the home, as `ftassets up` names it."""
    from ftassets.automation.instance import open_instance

    with open_instance(Home.from_env()) as instance:
        yield instance
