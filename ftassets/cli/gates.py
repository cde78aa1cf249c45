"""Commands on gates: answer them over HTTP, compute verdicts again, have people review answers."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ftassets.cli.common import Loop, backend, dagster_instance, known_loop, refusing
from ftassets.config.home import Home
from ftassets.errors import FtassetsError

app = typer.Typer()
review = typer.Typer(no_args_is_help=True, help="Hand a candidate's answers to reviewers and take their yes or no back.")
app.add_typer(review, name="review")


@app.command("gate-service")
def gate_service(
    port: Annotated[int, typer.Option(help="Port the service listens on.")] = 8080,
    host: Annotated[str, typer.Option(help="Address it listens at.")] = "127.0.0.1",
) -> None:
    """Answer a pipeline's `POST /evaluate`: would the gates of a loop let this version pass? Until Ctrl-C."""
    from ftassets.cli.commands.gate_service import run

    with refusing(ValueError):
        run(Home.from_env(), host, port)


@app.command()
def recompute(
    loop: Loop,
    report: Annotated[str | None, typer.Argument(help="Beginning of the eval report's digest; without it the newest.")] = None,
) -> None:
    """Compute an eval report's scores and verdicts again from the stored answers; refused when anything comes out differently."""
    from ftassets.assets.eval_report.recompute import recompute
    from ftassets.backends.artifacts.reports import find_report
    from ftassets.backends.dataset_store.base import DatasetError

    with refusing(FtassetsError, ValueError, OSError, DatasetError):
        artifacts = backend("artifacts")
        digest = find_report(artifacts, loop, "eval", report or "")
        made, results = recompute(artifacts, backend("control"), known_loop(loop), backend("dataset_store"), digest)
    typer.echo(f"report {digest[:12]} of candidate {made.candidate[:12]}: the stored answers give the same scores")
    for result in results:
        typer.echo(f"{result.verdict.value}: {result.name}: {result.sentence}")


@review.command("export")
def review_export(loop: Loop, out: Annotated[Path, typer.Option("--out", help="CSV file to write.")]) -> None:
    """Write the sample of the newest eval report: what was asked, what was expected, what the candidate answered."""
    import dagster as dg

    from ftassets.backends.dataset_store.base import DatasetError
    from ftassets.cli.commands import review as command

    with refusing(FtassetsError, ValueError, OSError, DatasetError, dg.Failure), dagster_instance() as instance:
        found = command.export(instance, backend("dataset_store"), backend("artifacts"), known_loop(loop))
        out.write_text(found.text, encoding="utf-8-sig", newline="")  # with a BOM, which spreadsheets need to see UTF-8
    typer.echo(f"{found.rows} answers of report {found.report[:12]} written to {out}; write yes or no into the column good, then:")
    typer.echo(f"  ftassets review import {loop} {out} --name NAME")


@review.command("import")
def review_import(
    loop: Loop,
    path: Annotated[Path, typer.Argument(help="The reviewed CSV file.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option("--name", help="Who reviewed.")],
) -> None:
    """Store what a person said of the newest eval report's sample; a second person's file adds to the first one's."""
    import dagster as dg

    from ftassets.cli.commands import review as command

    with refusing(FtassetsError, ValueError, OSError, dg.Failure), dagster_instance() as instance:
        text = path.read_bytes().decode("utf-8-sig")
        found = command.take(instance, backend("artifacts"), backend("control"), known_loop(loop), text, name, time.time())
    typer.echo(f"{found.taken} verdicts stored; {found.reviewed} of {found.rows} answers reviewed, {found.good} good to all who saw them")
    if found.reviewed < found.rows:
        typer.echo(f"{found.rows - found.reviewed} answers are still to be reviewed: fill in their rows and import the file again")
    else:
        typer.echo(f"now materialize release together with eval_report's checks: run the job {loop}__promote")
