"""Commands on gates: answer them over HTTP, compute verdicts again, have people review answers."""

import getpass
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ftassets.cli.common import (
    AsJson,
    Force,
    Loop,
    backend,
    dagster_instance,
    known_loop,
    needs_loops,
    not_to_write_over,
    show_json,
    text_of,
)
from ftassets.config.home import Home
from ftassets.config.outputs import check_new_file, write_file
from ftassets.wording import amount

app = typer.Typer()
review = typer.Typer(no_args_is_help=True, help="Hand answers to reviewers, and take back what they say.")
app.add_typer(review, name="review")


@app.command("gate-service")
@needs_loops
def gate_service(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port the service listens on.")] = 8080,
    host: Annotated[str, typer.Option(help="Address it listens at.")] = "127.0.0.1",
) -> None:
    """Answer a pipeline's `POST /evaluate`: would the gates of a loop let this version pass? Until Ctrl-C."""
    from ftassets.cli.commands.gate_service import run

    run(Home.from_env(), host, port)


@app.command()
@needs_loops
def recompute(
    loop: Loop,
    report: Annotated[str | None, typer.Argument(help="Beginning of the eval report's digest; without it the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute an eval report's scores and verdicts again from the stored answers; refused when anything comes out differently."""
    from ftassets.assets.eval_report.recompute import recompute
    from ftassets.backends.artifacts.reports import find_report
    from ftassets.domain.gates.policy import CHANGES, RULE

    config, artifacts = known_loop(loop), backend("artifacts")
    digest = find_report(artifacts, loop, "eval", report or "")
    made, results = recompute(artifacts, backend("control"), config, backend("dataset_store"), digest)
    if as_json:
        gates = [{"name": result.name, "verdict": result.verdict.value, "sentence": result.sentence} for result in results]
        show_json({"report": digest, "candidate": made.candidate, "gate_rule": RULE, "made_with_gate_rule": made.gate_rule, "gates": gates})
        return
    typer.echo(f"report {digest[:12]} of candidate {made.candidate[:12]}: the stored answers give the same scores")
    if made.gate_rule != RULE:
        typer.echo(f"its verdicts were by gate rule {made.gate_rule} when it was made; these are by rule {RULE}:")
        for rule in range(made.gate_rule + 1, RULE + 1):
            typer.echo(f"  rule {rule}: {CHANGES[rule]}")
    for result in results:
        typer.echo(f"{result.verdict.value}: {result.name}: {result.sentence}")


@app.command("start-budget")
@needs_loops
def start_budget(
    loop: Loop,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger and shown by status for a year.")],
    by: Annotated[str | None, typer.Option("--by", help="Who answers for it; without it the login name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a loop's error budget anew, full, when its ledger is lost or a wrong clock holds it; what was there is kept."""
    from ftassets.backends.control.error_budget import start_ledger

    config = known_loop(loop)
    made = start_ledger(backend("artifacts"), backend("control"), config.name, by or getpass.getuser(), reason, time.time())
    if as_json:
        show_json(made.document())
    else:
        typer.echo(f"{loop}: the error budget is full again; recorded as by {made.starts[-1].by}: {reason}")


@review.command("export")
@needs_loops
def review_export(
    loop: Loop,
    out: Annotated[Path, typer.Option("--out", help="New CSV file to write.")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the sample of the newest eval report: what was asked, what was expected, what the candidate answered."""
    from ftassets.cli.commands import review as command

    config = known_loop(loop)
    check_new_file(out, force, not_to_write_over())
    with dagster_instance() as instance:
        found = command.export(instance, backend("dataset_store"), backend("artifacts"), config)
    write_file(out, found.text, encoding="utf-8-sig")  # with a BOM, which spreadsheets need to see UTF-8
    if as_json:
        show_json({"loop": loop, "report": found.report, "rows": found.rows, "file": out})
        return
    typer.echo(
        f"{amount(found.rows, 'answer')} of report {found.report[:12]} written to {out}; write yes or no into the column good, then:"
    )
    typer.echo(f"  ftassets review import {loop} {out} --name NAME")


@review.command("pairs")
@needs_loops
def review_pairs(
    loop: Loop,
    out: Annotated[Path, typer.Option("--out", help="New JSONL file to write.")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the answers of candidate and production that an llm_judge gate compares, for people to say which they prefer."""
    from ftassets.cli.commands import review as command

    config = known_loop(loop)
    check_new_file(out, force, not_to_write_over())
    with dagster_instance() as instance:
        found = command.pairs(instance, backend("dataset_store"), backend("artifacts"), config)
    write_file(out, found.text)
    if as_json:
        show_json({"loop": loop, "report": found.report, "rows": found.rows, "file": out})
        return
    typer.echo(
        f"{amount(found.rows, 'pair')} of report {found.report[:12]} written to {out}; "
        "write first, second or tie into `preferred`, from the top,"
    )
    typer.echo("add the lines to the file that llm_judge.labels names, and materialize eval_report again")


@review.command("import")
@needs_loops
def review_import(
    loop: Loop,
    path: Annotated[Path, typer.Argument(help="The reviewed CSV file.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option("--name", help="Who reviewed.")],
    as_json: AsJson = False,
) -> None:
    """Store a person's review of the newest eval report's sample; a second person's file adds to the first one's."""
    from ftassets.cli.commands import review as command

    config, text = known_loop(loop), text_of(path)
    with dagster_instance() as instance:
        found = command.take(instance, backend("artifacts"), backend("control"), config, text, name, time.time())
    if as_json:
        show_json(asdict(found))
        return
    typer.echo(
        f"{amount(found.taken, 'verdict')} stored; {found.reviewed} of {amount(found.rows, 'answer')} reviewed, "
        f"{found.good} good to all who saw them"
    )
    for gate, sentence in found.gates.items():
        typer.echo(f"{gate}: {sentence}")
    if not found.decided:
        typer.echo(
            f"{amount(found.rows - found.reviewed, 'answer is', 'answers are')} still to be reviewed: "
            "fill in their rows from the top and import again"
        )
    else:
        typer.echo(f"now materialize release together with eval_report's checks: run the job {loop}__promote")
