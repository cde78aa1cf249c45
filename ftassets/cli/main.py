"""The `ftassets` command, and what it says when a command cannot do its work."""

import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import Exit, TyperException

import ftassets
from ftassets.cli import audit, backups, clients, data, gates, lineage, loops, releases, start, traffic, versions
from ftassets.exits import debugging, ending, tell

ENDINGS = (
    "Exit codes: 0 done, 1 an error (one sentence on stderr), 2 wrong usage, 130 after Ctrl-C. "
    "With --json, stdout has one JSON value when the command is done and nothing after an error."
)


class Commands(TyperGroup):
    """Every error of a command ends as one sentence on stderr and an exit code."""

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Read the arguments and run the command. Typer has exit codes of its own for wrong usage, Ctrl-C and a closed pipe."""
        try:
            super().main(*args, **settings)
        except Exception as error:
            usage = error.__context__  # what typer was writing when stderr could not take it
            if isinstance(error, OSError) and isinstance(usage, TyperException):
                code, sentence = usage.exit_code, usage.format_message()
            else:
                if debugging():
                    traceback.print_exc()
                found = ending(error)
                code, sentence = found.code, found.sentence
            tell(typer.style(sentence, fg=typer.colors.RED) if sys.stderr.isatty() else sentence)
            sys.exit(code)
        sys.exit()


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep a fine-tuned model good in production.",
    epilog=ENDINGS,
)
for group in (start, loops, traffic, data, gates, releases, versions, lineage, backups, audit, clients):
    app.add_typer(group.app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ftassets {ftassets.__version__}")
        raise Exit(0)


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """What holds for all commands."""


if __name__ == "__main__":
    app()
