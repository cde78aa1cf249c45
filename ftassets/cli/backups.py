"""Commands on backups of the home: make one while everything runs, check one, make a home from one."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ftassets.cli.common import AsJson, show_json
from ftassets.config.home import Home
from ftassets.errors import InvalidInput
from ftassets.exits import FAILED
from ftassets.wording import amount, span, utc

if TYPE_CHECKING:
    from ftassets.processes.backup import Made

app = typer.Typer()

Target = Annotated[Path, typer.Argument(help="Folder of the backups, on another disk.", file_okay=False)]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the passphrase of the keys.", exists=True, dir_okay=False)
]
WithoutDatabases = Annotated[bool, typer.Option("--without-databases", help="Leave PostgreSQL to its own backup.")]
Named = Annotated[str | None, typer.Option("--backup", help="Beginning of a backup's name; without it the newest.")]


@app.command()
def backup(
    to: Target,
    passphrase_file: Passphrase = None,
    keep: Annotated[int | None, typer.Option(min=1, help="Keep so many of the newest backups; without it all.")] = None,
    without_databases: WithoutDatabases = False,
    as_json: AsJson = False,
) -> None:
    """Store the home while everything runs; what an earlier backup in the folder has is not stored again; exit code 1 if a
    version is not whole in it.

    Private keys and the salt of user hashes are stored only with a passphrase, encrypted by it. Traffic log and control in PostgreSQL are
    copied by pg_dump.
    """
    from ftassets.processes.backup import back_up

    made = back_up(Home.from_env(), to, _passphrase(passphrase_file), keep, _outside(without_databases), not without_databases)
    if as_json:
        show_json(asdict(made))
    else:
        _show_made(made)
    if made.incomplete:
        raise typer.Exit(FAILED)


def _show_made(made: "Made") -> None:
    typer.echo(f"backup {made.name}: {amount(made.files, 'file')}, {_size(made.bytes)}, of which {_size(made.new_bytes)} new")
    typer.echo(f"made in {span(made.seconds)}; {'with' if made.with_keys else 'without'} keys")
    if not made.with_keys:
        typer.secho("without --passphrase-file a restored home has new keys, and knows no user by name", fg=typer.colors.YELLOW, err=True)
    for what in made.databases:
        typer.echo(f"with the tables of {what} in PostgreSQL")
    for what in made.outside:
        typer.echo(f"not in it: {what}")
    for what in made.incomplete:
        typer.secho(f"not whole in it: {what}", fg=typer.colors.RED, err=True)
    if made.incomplete:
        typer.secho("the backup is kept, and no earlier one was removed: it may have what is missing", fg=typer.colors.RED, err=True)


@app.command("verify-backup")
def verify_backup(at: Target, backup: Named = None, passphrase_file: Passphrase = None, as_json: AsJson = False) -> None:
    """Read every byte of a backup, and check its releases and versions; exit code 0 only if it can be restored."""
    from ftassets.processes.backup import verify

    found = verify(at, backup, _passphrase(passphrase_file))
    if as_json:
        show_json(asdict(found))
        return
    _show(found)


@app.command()
def restore(
    source: Target,
    backup: Named = None,
    passphrase_file: Passphrase = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Go on with new keys.")] = False,
    without_databases: WithoutDatabases = False,
    as_json: AsJson = False,
) -> None:
    """Make the home, which must not be there, from a backup; `ftassets up` then serves what served.

    Tables that the backup has from PostgreSQL are made by pg_restore, in a database without a row of them.
    """
    from ftassets.processes.backup import restore as make

    home = Home.from_env()
    found = make(home, source, backup, _passphrase(passphrase_file), without_keys, not without_databases)
    if as_json:
        show_json({"home": str(home.root), "lost_since": found.at, **asdict(found)})
        return
    typer.echo(f"{home.root} is restored in {span(found.seconds)}; next: ftassets doctor, then ftassets up")
    _show(found)
    typer.echo(f"what was written after {utc(found.at)}, {span(time.time() - found.at)} ago, is not in it")
    for what in found.incomplete:
        typer.secho(f"restored as far as it goes: {what}", fg=typer.colors.YELLOW, err=True)


def _show(found: object) -> None:
    from ftassets.processes.backup import Verified

    assert isinstance(found, Verified)
    typer.echo(
        f"backup {found.name}: {amount(found.files, 'file')}, {_size(found.bytes)}; all bytes are as stored; "
        f"{amount(found.releases, 'signed statement')} and {amount(found.versions, 'version')} verify; "
        f"{'with' if found.with_keys else 'without'} keys{''.join(f', with the tables of {name}' for name in found.databases)}"
    )


def _passphrase(path: Path | None) -> str | None:
    if path is None:
        return None
    if not (text := path.read_text().strip()):
        raise InvalidInput(f"{path} is empty: write a passphrase into it")
    return text


def _outside(without_databases: bool) -> list[str]:
    """What of the loops' state is on servers, which have backups of their own."""
    from ftassets.config import profiles

    said = ["the folder of the loop files with its data, which belongs in your version control"]
    if not profiles.has_servers(profiles.profile()):
        return said
    servers = {profiles.TRAFFIC_URL: "traffic log", profiles.CONTROL_URL: "control"} if without_databases else {}
    servers |= {"LAKEFS_ENDPOINT": "datasets in lakeFS", "QDRANT_URL": "vectors in Qdrant", "MLFLOW_TRACKING_URI": "MLflow's server"}
    return said + [f"{what}, by that server's own backup" for name, what in servers.items() if os.environ.get(name)]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
