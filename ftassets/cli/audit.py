"""Commands on the audit chain: check it, and write it to a file."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from ftassets.cli.common import AsJson, Force, backend, show_json
from ftassets.config.home import Home
from ftassets.config.outputs import check_new_file, write_file
from ftassets.errors import InvalidInput
from ftassets.exits import FAILED
from ftassets.wording import amount

app = typer.Typer()
audit = typer.Typer(no_args_is_help=True, help="The chain of who decided what: journal, approvals, overrides, keys, pauses, loop files.")
app.add_typer(audit, name="audit")


@audit.command("verify")
def verify(
    backup: Annotated[
        Path | None, typer.Option("--backup", help="Folder of backups: the chain must still have what it had then.", exists=True)
    ] = None,
    release: Annotated[
        Path | None,
        typer.Option(
            "--release",
            help="A signed release that was kept elsewhere: the chain must still have what it had then.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name each record that was changed, removed or moved since it came into the chain, then add new ones; exit code 1 if one was.

    The chain must have the end that each stored release names. Nothing is added while something is wrong.
    """
    from ftassets.backends.control.audit import Head, faults, seal
    from ftassets.cli.commands.release import audit_head
    from ftassets.config.profiles import verifier
    from ftassets.processes.backup import newest_named

    control, signer = backend("control"), verifier(Home.from_env())
    compared, anchor, unreadable = None, None, list[str]()
    if backup is not None:
        stored, unreadable = newest_named(backup)
        if stored is None:
            why = "; ".join(unreadable) or f"make one with ftassets backup {backup}"
            raise InvalidInput(f"{backup} has no backup that can be read, so the chain is compared with none: {why}")
        compared = stored[0]
        if stored[1].audit is None:
            raise InvalidInput(f"backup {compared} does not have the chain's end, so the chain is compared with none: make another backup")
        anchor = Head(*stored[1].audit)
    anchors = {f"backup {compared}": anchor} if anchor is not None else {}
    if release is not None:
        anchors[str(release)] = audit_head(signer, release)
    found = faults(control, signer, anchors)
    head = None if found else seal(control, signer, time.time())
    if as_json:
        show_json(
            {
                "holds": not found, "faults": found, "entries": head.number if head else None, "head": head.digest if head else None,
                "backup": compared, "release": release, "unreadable_backups": unreadable,
            }
        )  # fmt: skip
    else:
        for fault in found:
            typer.echo(fault)
        if head is not None:
            typer.echo(f"the chain holds: {amount(head.number, 'entry', 'entries')}, the last one {head.digest[:12]}")
        for line in unreadable:
            typer.secho(f"a newer backup was not compared: {line}", fg=typer.colors.YELLOW, err=True)
        for name, end in anchors.items():
            typer.echo(f"compared with {name}, when the chain had {amount(end.number, 'entry', 'entries')}")
    if found:
        raise typer.Exit(FAILED)


@audit.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", help="New file to write, one JSON object a line.")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the chain as JSON lines, oldest entry first; new records are added before."""
    from ftassets.backends.control.audit import entries, seal
    from ftassets.config.profiles import verifier

    home = Home.from_env()
    check_new_file(out, force, [home.root])
    control = backend("control")
    head = seal(control, verifier(home), time.time())
    found = entries(control)
    write_file(out, "".join(f"{json.dumps(entry.document(), ensure_ascii=False)}\n" for entry in found))
    if as_json:
        show_json({"file": out, "entries": len(found), "head": head.digest})
    else:
        typer.echo(f"{amount(len(found), 'entry', 'entries')} written to {out}")
