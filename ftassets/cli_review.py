"""Commands for people who look at a candidate's answers before it is released."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ftassets.cli_common import Loop, backend, dagster_instance, known_loop, refusing
from ftassets.home import Home

app = typer.Typer(no_args_is_help=True, help="Hand a candidate's answers to reviewers and take their yes or no back.")


@app.command()
def export(loop: Loop, out: Annotated[Path, typer.Option("--out", help="CSV file to write.")]) -> None:
    """Write the sample of the newest eval report: what was asked, what was expected, what the candidate answered."""
    import dagster as dg

    from ftassets.commands import review
    from ftassets.resources.dataset_store.base import DatasetError

    with refusing(ValueError, OSError, DatasetError, dg.Failure), dagster_instance() as instance:
        found = review.export(instance, backend("dataset_store"), Home.from_env(), known_loop(loop))
        out.write_text(found.text, encoding="utf-8-sig", newline="")  # with a BOM, which spreadsheets need to see UTF-8
    typer.echo(f"{found.rows} answers of report {found.report[:12]} written to {out}; write yes or no into the column good, then:")
    typer.echo(f"  ftassets review import {loop} {out} --name NAME")


@app.command("import")
def take(
    loop: Loop,
    path: Annotated[Path, typer.Argument(help="The reviewed CSV file.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option("--name", help="Who reviewed.")],
) -> None:
    """Store what a person said of the newest eval report's sample; a second person's file adds to the first one's."""
    import dagster as dg

    from ftassets.commands import review

    with refusing(ValueError, OSError, dg.Failure), dagster_instance() as instance:
        text = path.read_bytes().decode("utf-8-sig")
        found = review.take(instance, Home.from_env(), known_loop(loop), text, name, time.time())
    typer.echo(f"{found.taken} verdicts stored; {found.reviewed} of {found.rows} answers reviewed, {found.good} good to all who saw them")
    if found.reviewed < found.rows:
        typer.echo(f"{found.rows - found.reviewed} answers are still to be reviewed: fill in their rows and import the file again")
    else:
        typer.echo(f"now materialize release together with eval_report's checks: run the job {loop}__promote")
