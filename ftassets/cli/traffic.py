"""Commands on a loop's traffic: bring a log in, look for drift, move traffic back, forget a user."""

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ftassets.cli.common import (
    AsJson,
    By,
    LogFormat,
    Loop,
    Reason,
    backend,
    known_loop,
    known_loop_names,
    known_loops,
    needs_loops,
    show_json,
    show_refused,
)
from ftassets.config.home import Home
from ftassets.errors import InvalidInput
from ftassets.wording import amount

app = typer.Typer()


@app.command("import-traffic")
@needs_loops
def import_traffic(
    loop: Loop,
    paths: Annotated[
        list[Path], typer.Argument(help="Files of the log, also those with scores or annotations.", exists=True, dir_okay=False)
    ],
    format: LogFormat = "auto",
    version: Annotated[str | None, typer.Option(help="Who answered; without it the model each row names.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take requests and answers logged elsewhere into a loop's traffic; doing it again changes nothing."""
    from ftassets.cli.commands import import_traffic as command

    report = command.import_traffic(backend("traffic_log"), known_loop(loop), paths, format, version, secret=Home.from_env().user_secret())
    if as_json:
        show_json(asdict(report))
    else:
        typer.echo("\n".join(command.describe(report)))
        show_refused(report.quarantined)
    if report.refused:
        raise InvalidInput(f"{' '.join(report.refused)} The other files are imported.")


@app.command()
@needs_loops
def drift(
    loop: Loop,
    window: Annotated[str | None, typer.Option(help="Length, for example 24h; without it the loop's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the newest queries with what production knows, now; nothing is stored."""
    from ftassets.cli.commands import drift as command
    from ftassets.config.units import seconds

    report = command.run(Home.from_env(), known_loop(loop), None if window is None else seconds(window))
    if as_json:
        show_json(report)
    else:
        typer.echo(command.describe(report))


@app.command()
@needs_loops
def rollback(loop: Loop, reason: Reason, as_json: AsJson = False) -> None:
    """Take the candidate out of traffic now, or go back to the standby version. Needs only the gateway; no loop file is read."""
    from ftassets.config.profiles import serving

    state = serving(Home.from_env()).rollback(loop, "cli", reason)
    if as_json:
        show_json({"loop": loop, "phase": state.phase, "weights": state.weights, **state.model_dump(mode="json")})
        return
    shares = ", ".join(f"{version[:12]} {share} %" for version, share in state.weights.items())
    typer.echo(f"{loop} rolled back: {shares}")


@app.command()
@needs_loops
def start(
    loop: Loop,
    reason: Reason,
    version: Annotated[str | None, typer.Argument(help="Beginning of a released version's digest; without it the newest release.")] = None,
    weight: Annotated[
        int | None, typer.Option(min=1, max=100, help="Percent of traffic; without it shadow where the loop has it, else its first step.")
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Give a release its first traffic now, also one that was rolled back before; the gateway checks it, and its approval."""
    from ftassets.cli.commands import rollout

    found = rollout.start(_stores(), known_loop(loop), version, weight, by or getpass.getuser(), reason)
    _moved(loop, found, as_json)


@app.command()
@needs_loops
def ramp(
    loop: Loop,
    reason: Reason,
    weight: Annotated[
        int | None, typer.Option(min=1, max=100, help="Percent of traffic, 100 promotes; without it the loop's next rollout step.")
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Change the traffic of the candidate now; the gateway checks its release."""
    from ftassets.cli.commands import rollout

    _moved(loop, rollout.ramp(_stores(), known_loop(loop), weight, by or getpass.getuser(), reason), as_json)


def _stores() -> Any:
    from ftassets.cli.commands.rollout import Stores
    from ftassets.config.profiles import control, serving, verifier

    home = Home.from_env()
    return Stores(control(home), serving(home), verifier(home))


def _moved(loop: str, state: Any, as_json: bool) -> None:
    if as_json:
        show_json({"loop": loop, "phase": state.phase, "weights": state.weights, **state.model_dump(mode="json")})
        return
    shares = ", ".join(f"{version[:12]} {share} %" for version, share in state.weights.items())
    typer.echo(f"{loop}: {state.phase}: {shares}")


@app.command("user-hash")
def user_hash(
    name: Annotated[str, typer.Argument(help="The user as requests and imported logs name them.")], as_json: AsJson = False
) -> None:
    """Print the hash under which the traffic log knows a user, which forget takes."""
    from ftassets.domain.traffic.exchange import hashed_user, keyed_user

    home = Home.from_env()
    if not hashed_user(name):
        raise InvalidInput("the name is empty: requests without a user have no hash")
    if not home.has_user_secret():
        raise InvalidInput(
            f"the home {home.root} has no user yet, so no hash would match: set FTASSETS_HOME to the home whose log has them"
        )
    found = keyed_user(hashed_user(name), home.user_secret())
    if as_json:
        show_json({"user": found})
    else:
        typer.echo(found)


@app.command()
@needs_loops
def forget(
    user: Annotated[str | None, typer.Option(help="Hash of the user: user-hash prints it.")] = None,
    user_of: Annotated[str | None, typer.Option(help="Id of a request: the user who sent it, without the hash.")] = None,
    request: Annotated[str | None, typer.Option(help="Id of one request, as the gateway or an imported log has it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove a user's texts from every store; names the commits and versions that keep them."""
    from ftassets.cli.commands import forget as command

    moved = command.folders_of_days(Home.from_env(), known_loops().values())
    if user_of is not None:
        if user is not None:
            raise InvalidInput("--user and --user-of name a user each: give one of them")
        user = command.user_of(backend("traffic_log"), user_of, moved)
    report = command.forget(
        known_loop_names(),
        backend("traffic_log"),
        backend("vector_store"),
        backend("dataset_store"),
        backend("artifacts"),
        user,
        request,
        moved,
        Home.from_env().work,
    )
    if as_json:
        show_json(asdict(report))
        return
    if report.earlier:
        typer.echo(f"request {request} was forgotten earlier" if request else "requests of this user were forgotten earlier")
    if user_of is not None:
        typer.echo(f"user {user}, who sent request {user_of}")
    removed = ", ".join(f"{name} ({count:,})" for name, count in report.erased.items() if count)
    typer.echo(f"removed: {removed or 'nothing, there was nothing left'}")
    if user is not None and not report.requests and not report.earlier:
        typer.echo("the log has no request of this user: rows in the quarantine of earlier commits are found by their request only")
    for name in report.repeated:
        typer.echo(f"  request {name} has its text among earlier turns: ftassets forget --request {name}")
    for commit in report.commits:
        typer.echo(f"  commit {str(commit['commit'])[:12]} of {commit['loop']} holds {amount(commit['rows'], 'row')}")
    for version in report.versions:
        typer.echo(f"  version {version['version'][:12]} was trained on commit {version['dataset_commit'][:12]}")
    for version in report.unreadable:
        typer.echo(f"  version {version['version'][:12]} may hold them too: {version['reason']}")
    for file in report.written:
        typer.echo(f"  {file['file']} has {amount(file['rows'], 'row')} that ask the same")
    for folder in report.in_use:
        typer.echo(f"  {folder}")
    typer.echo(report.stays)
