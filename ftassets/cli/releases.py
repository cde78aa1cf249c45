"""Commands on releases: approve one, override a gate, verify a signed file, and the keys behind it."""

import json
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ftassets.cli.common import AsJson, Loop, backend, known_loop, known_loops, needs_loops, show_json, show_table
from ftassets.config.home import Home
from ftassets.domain.beginnings import the_one
from ftassets.errors import InvalidInput
from ftassets.wording import utc

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="The keys that sign releases and those that are trusted.")
app.add_typer(keys, name="keys")

Name = Annotated[str, typer.Option("--name", help="Name of the approver, as under release.people of the loop file.")]
Why = Annotated[str, typer.Option("--reason", help="One sentence, signed and kept with the release.")]


@app.command()
@needs_loops
def approve(
    loop: Loop,
    name: Name,
    reason: Why,
    version: Annotated[str | None, typer.Argument(help="Beginning of the version's digest; without it the newest release.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say yes to a release of a loop in mode propose; the rollout then starts it."""
    from ftassets.backends.serving.base import ServingError
    from ftassets.cli.commands import release
    from ftassets.config.profiles import serving

    said = release.approve(backend("artifacts"), backend("control"), backend("signer"), known_loop(loop), version, name, reason)
    if as_json:
        show_json(said.model_dump(mode="json"))
    else:
        typer.echo(f"{loop} {said.version[:12]} {said.sentence}")
    with suppress(ServingError):  # without a gateway nothing is known of rollbacks
        if said.version in serving(Home.from_env()).state(loop).rejected:
            how = f"ftassets start {loop} {said.version[:12]} --reason TEXT"
            typer.secho(f"it was rolled back before, and does not start by itself: {how}", fg=typer.colors.YELLOW, err=True)


@app.command()
@needs_loops
def override(
    loop: Loop,
    version: Annotated[str, typer.Argument(help="Beginning of the version's digest.")],
    name: Name,
    reason: Why,
    expires: Annotated[str, typer.Option("--expires", help="How long it counts, for example 24h; at most 365d.")],
    gate: Annotated[list[str] | None, typer.Option("--gate", help="A gate to override; without one all that do not pass.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let a version be released in spite of gates that do not pass, for a time; materialize its release afterwards."""
    from ftassets.cli.commands import release
    from ftassets.config.units import seconds

    length = seconds(expires)
    artifacts, control, signer = backend("artifacts"), backend("control"), backend("signer")
    said = release.override(artifacts, control, signer, known_loop(loop), version, gate or [], name, reason, length)
    if as_json:
        show_json(said.model_dump(mode="json"))
        return
    typer.echo(f"{loop} {said.version[:12]} until {utc(said.expires_at)}: {said.sentence}")
    for each, verdict in said.gates.items():
        typer.echo(f"  {each}: {verdict}")
    typer.echo(f"materialize {loop}/release to sign the release with it")


@app.command()
@needs_loops
def verify(
    path: Annotated[
        Path | None,
        typer.Argument(help="A signed release, approval, override or pack.dsse.json; not with --serve-gate.", exists=True, dir_okay=False),
    ] = None,
    files: Annotated[Path | None, typer.Option("--files", help="Folder of the version; without it the one in the home.")] = None,
    loop: Annotated[str | None, typer.Option("--loop", help="The loop it must be for.")] = None,
    serve_gate: Annotated[
        Path | None,
        typer.Option("--serve-gate", help="Folder of a version that a model server is to load: whether it is released for --loop now."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Who signed a file, what it says, and whether it holds now; exit code 0 only if it does.

    Of a pack, each number of its card and bill is compared with the eval report.

    With --serve-gate DIR --loop LOOP: whether DIR may be loaded, for the init container of a model server. Of the home it reads
    releases/LOOP and the public keys in keys; no loop file is needed.
    """
    from ftassets.cli.commands import release
    from ftassets.config.profiles import artifacts, verifier

    home = Home.from_env()
    if serve_gate is not None:
        if loop is None or path is not None or files is not None:
            raise InvalidInput("give --serve-gate DIR with --loop LOOP, and neither a file nor --files")
        return _gate(home, serve_gate, loop, as_json)
    if path is None:
        raise InvalidInput("give a signed file, or --serve-gate DIR --loop LOOP")
    found = release.verify(artifacts(home), verifier(home), known_loops(), path, files, loop)
    if as_json:
        show_json(found)
    else:
        _show(found)
    if not found["holds"]:
        raise typer.Exit(1)


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Trusted and revoked keys; the active one signs."""
    found = backend("signer").known_keys()
    if as_json:
        show_json([asdict(key) for key in found])
    else:
        for key in found:
            state = f"revoked: {key.revoked}" if key.revoked is not None else "active" if key.active else "trusted"
            typer.echo(f"{key.key_id}  {'unreadable' if key.unreadable else state}")
        if not found:
            typer.echo("no keys yet: the first release makes one")
    unreadable = [key.unreadable for key in found if key.unreadable]
    for why in unreadable:
        typer.echo(why, err=True)
    if unreadable:
        raise typer.Exit(1)


@keys.command()
def rotate(as_json: AsJson = False) -> None:
    """Sign with a new key from now on; what the old one signed still counts."""
    key = backend("signer").rotate()
    if as_json:
        show_json({"key_id": key})
    else:
        typer.echo(f"{key} signs from now on")


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Beginning of the key's id.")],
    reason: Annotated[str, typer.Option("--reason", help="Kept with the key.")],
    as_json: AsJson = False,
) -> None:
    """Stop trusting a key permanently: what it signed cannot receive more traffic."""
    signer = backend("signer")
    known = {each.key_id: each for each in signer.known_keys()}
    found = known[the_one(key, known, "key")]
    signer.revoke(found.key_id, reason)
    if as_json:
        show_json({"key_id": found.key_id, "revoked": reason, "active": found.active})
        return
    typer.echo(f"{found.key_id} is revoked: {reason}")
    if found.active:
        typer.echo("it was the active key: ftassets keys rotate, then materialize the releases that shall go on")


def _gate(home: Home, folder: Path, loop: str, as_json: bool) -> None:
    from ftassets.backends.control.releases import Releases
    from ftassets.backends.control.serve_gate import serve_gate
    from ftassets.config.profiles import control, verifier

    found = serve_gate(folder, loop, Releases(control(home), verifier(home)), time.time())
    if as_json:
        show_json({"folder": str(folder), "loop": loop, "holds": found.open, **asdict(found)})
    elif found.open:
        typer.echo(f"{folder} is version {str(found.version)[:12]}, released for {loop}: it may be loaded")
    else:
        for why in found.objections:
            typer.echo(why, err=True)
        typer.echo(f"{folder} must not be loaded for {loop}", err=True)
    if not found.open:
        raise typer.Exit(1)


def _show(found: dict[str, Any]) -> None:
    trusted = f"revoked ({found['revoked']})" if found["revoked"] is not None else "trusted"
    typer.echo(f"{found['kind'] or 'unknown'}, signed by {found['key']}, {trusted}" if found["key"] else "not signed by a trusted key")
    rows = []
    for name, value in found["attested"].items():
        if name in ("issued_at", "expires_at"):
            value = utc(value)
        elif name == "files":
            value = "\n".join(f"{digest[:12]}  {file}" for file, digest in value.items())
        rows.append((name, value if isinstance(value, str) else json.dumps(value)))
    if rows:
        show_table(("attested", "value"), rows)
    for objection in found["objections"]:
        typer.secho(objection, fg=typer.colors.RED)
    typer.echo("holds" if found["holds"] else "does not hold")
