"""The `ftassets` command."""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ftassets import cli_data
from ftassets.home import Home

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keep a fine-tuned model good in production.")
app.add_typer(cli_data.app)

Loop = Annotated[str, typer.Argument(help="Name of the loop.")]
Reason = Annotated[str, typer.Option("--reason", help="Kept in the journal.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
Port = Annotated[int, typer.Option(help="Port of the Dagster UI.")]
GatewayPort = Annotated[int, typer.Option(help="Port of the gateway.")]


def _known(loop: str) -> None:
    from ftassets.loop_files import read_loops

    loops = read_loops()
    if loop not in loops:
        _stop(f"there is no loop {loop!r}; there is: {', '.join(loops)}")


def _stop(message: str) -> None:
    typer.secho(message, err=True, fg=typer.colors.RED)
    raise typer.Exit(1)


@app.command()
def up(port: Port = 3000, gateway_port: GatewayPort = 8100) -> None:
    """Start gateway, code server, daemon and UI for the home, until Ctrl-C."""
    from ftassets.serving.supervisor import Ports, UpFailed
    from ftassets.serving.supervisor import up as run

    try:
        run(Home.from_env(), Ports(ui=port, gateway=gateway_port, admin=gateway_port + 1))
    except UpFailed as error:
        _stop(str(error))


@app.command()
def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="End when the story is told instead of keeping the UI open.")] = False,
    port: Port = 3000,
    gateway_port: GatewayPort = 8100,
) -> None:
    """Run the whole loop once with a real model: drift, retrain, gates, rollout."""
    os.environ.setdefault("FTASSETS_HOME", str(Path(".ftassets/demo").resolve()))
    from ftassets.demo.story import DemoFailed, run
    from ftassets.serving.supervisor import Ports, UpFailed

    try:
        run(Home.from_env(), Ports(ui=port, gateway=gateway_port, admin=gateway_port + 1), keep_open=not exit_after)
    except (DemoFailed, UpFailed) as error:
        _stop(str(error))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Where the traffic of each loop goes, and what its newest reports said."""
    from ftassets.commands.status import describe

    found = describe(Home.from_env())
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("loop", "phase", "traffic", "standby", "paused", "gateway")
    for name, loop in found["loops"].items():
        shares = ", ".join(f"{version[:12]} {share} %" for version, share in loop["weights"].items()) or "-"
        table.add_row(name, loop["phase"], shares, (loop["standby"] or "-")[:12], loop["paused"] or "-", found["gateway"])
    Console().print(table)
    for name, loop in found["loops"].items():
        for entry in loop["journal"]:
            when = datetime.fromtimestamp(entry["at"]).strftime("%F %T")
            typer.echo(f"{when}  {name}  {entry['action']}  {entry['weights']}  {entry['reason']}")


@app.command()
def rollback(loop: Loop, reason: Reason) -> None:
    """Take the candidate out of traffic now, or go back to the standby version. Needs only the gateway."""
    from ftassets.resources.serving.base import ServingError
    from ftassets.resources.serving.embedded import GatewayServing

    _known(loop)
    try:
        state = GatewayServing(Home.from_env()).rollback(loop, "cli", reason)
    except ServingError as error:
        _stop(str(error))
    shares = ", ".join(f"{version[:12]} {share} %" for version, share in state.weights.items())
    typer.echo(f"{loop} rolled back: {shares}")


@app.command()
def pause(loop: Loop, reason: Reason) -> None:
    """Hold retrains and rollouts of a loop; a rollback still happens."""
    _known(loop)
    folder = Home.from_env().pauses
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{loop}.txt").write_text(reason)
    typer.echo(f"{loop} is paused: {reason}")


@app.command()
def resume(loop: Loop, reason: Reason) -> None:
    """End a pause."""
    _known(loop)
    (Home.from_env().pauses / f"{loop}.txt").unlink(missing_ok=True)
    typer.echo(f"{loop} goes on: {reason}")


@app.command()
def doctor() -> None:
    """Say what is missing or misconfigured."""
    from ftassets.commands.doctor import findings

    found = findings(Home.from_env())
    for finding in found:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject}: {finding.text}")
    sys.exit(0 if all(finding.ok for finding in found) else 1)


if __name__ == "__main__":
    app()
