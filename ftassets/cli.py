"""The `ftassets` command."""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ftassets import cli_data, cli_release, cli_review, cli_versions
from ftassets.cli_common import AsJson, Loop, known_loop, refusing
from ftassets.home import Home

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keep a fine-tuned model good in production.")
app.add_typer(cli_data.app)
app.add_typer(cli_release.app)
app.add_typer(cli_versions.app)
app.add_typer(cli_review.app, name="review")

Reason = Annotated[str, typer.Option("--reason", help="Kept in the journal.")]
Port = Annotated[int, typer.Option(help="Port of the Dagster UI.")]
GatewayPort = Annotated[int, typer.Option(help="Port of the gateway.")]


@app.command()
def up(port: Port = 3000, gateway_port: GatewayPort = 8100) -> None:
    """Start gateway, code server, daemon and UI for the home, until Ctrl-C."""
    from ftassets.serving.supervisor import Ports, UpFailed
    from ftassets.serving.supervisor import up as run

    with refusing(UpFailed):
        run(Home.from_env(), Ports(ui=port, gateway=gateway_port, admin=gateway_port + 1))


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

    with refusing(DemoFailed, UpFailed):
        run(Home.from_env(), Ports(ui=port, gateway=gateway_port, admin=gateway_port + 1), keep_open=not exit_after)


@app.command("gate-service")
def gate_service(
    port: Annotated[int, typer.Option(help="Port the service listens on.")] = 8080,
    host: Annotated[str, typer.Option(help="Address it listens at.")] = "127.0.0.1",
) -> None:
    """Answer a pipeline's `POST /evaluate`: would the gates of a loop let this version pass? Until Ctrl-C."""
    from ftassets.commands.gate_service import run

    with refusing(ValueError):
        run(Home.from_env(), host, port)


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
        for note in loop["notes"]:
            typer.secho(f"{name}: {note}", fg=typer.colors.YELLOW)
        for entry in loop["journal"]:
            when = datetime.fromtimestamp(entry["at"]).strftime("%F %T")
            typer.echo(f"{when}  {name}  {entry['action']}  {entry['weights']}  {entry['reason']}")


@app.command()
def rollback(loop: Loop, reason: Reason) -> None:
    """Take the candidate out of traffic now, or go back to the standby version. Needs only the gateway."""
    from ftassets.resources.serving.base import ServingError
    from ftassets.resources.serving.embedded import GatewayServing

    known_loop(loop)
    with refusing(ServingError):
        state = GatewayServing(Home.from_env()).rollback(loop, "cli", reason)
    shares = ", ".join(f"{version[:12]} {share} %" for version, share in state.weights.items())
    typer.echo(f"{loop} rolled back: {shares}")


@app.command()
def pause(loop: Loop, reason: Reason) -> None:
    """Hold retrains and rollouts of a loop; a rollback still happens."""
    known_loop(loop)
    folder = Home.from_env().pauses
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{loop}.txt").write_text(reason)
    typer.echo(f"{loop} is paused: {reason}")


@app.command()
def resume(loop: Loop, reason: Reason) -> None:
    """End a pause."""
    known_loop(loop)
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
