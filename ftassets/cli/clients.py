"""Commands on the gateway's clients: who has an API key, and what it may ask."""

import time
from typing import Annotated, Any

import typer

from ftassets.cli.common import AsJson, backend, known_loop_names, needs_loops, show_json, show_table
from ftassets.errors import InvalidInput
from ftassets.wording import utc

app = typer.Typer()
clients = typer.Typer(no_args_is_help=True, help="The clients that may ask the gateway, and their API keys. Without any, everybody may.")
app.add_typer(clients, name="clients")

Name = Annotated[str, typer.Argument(help="Name of the client.")]


@clients.command()
@needs_loops
def add(
    name: Name,
    loop: Annotated[list[str] | None, typer.Option("--loop", help="A loop it may ask, may be repeated; without it all loops.")] = None,
    requests_a_minute: Annotated[float | None, typer.Option(min=0.01, help="Most requests a minute.")] = None,
    tokens_a_minute: Annotated[float | None, typer.Option(min=1, help="Most tokens a minute, of prompts and answers together.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a client and print its API key, which is stored nowhere. From the first client on, requests without a key are refused."""
    from ftassets.backends.control.clients import change_clients, fresh_key
    from ftassets.domain.clients import new_key

    if unknown := set(loop or ()) - known_loop_names():
        raise InvalidInput(f"there is no loop {sorted(unknown)[0]!r}")
    key, now = fresh_key(), time.time()
    new = new_key(name, key, now, loop or (), requests_a_minute, tokens_a_minute)
    change_clients(backend("control"), lambda keys: keys.added(new, now))
    _tell(name, key, as_json)


@clients.command("list")
def list_clients(as_json: AsJson = False) -> None:
    """Every key that is valid, by client, without the key itself."""
    from ftassets.backends.control.clients import read_clients

    now = time.time()
    keys = read_clients(backend("control")).keys
    found = [key for key in keys if key.valid(now)]
    if as_json:
        show_json([key.model_dump(exclude={"sha256"}) for key in found])
    elif not found:
        ended = "no valid key, so every request is refused; ftassets clients add NAME makes one"
        typer.echo(ended if keys else "no clients: everybody who reaches the gateway may ask it")
    else:
        columns = ("client", "key", "loops", "requests a minute", "tokens a minute", "ends")
        show_table(columns, [(*(_shown(each) for each in (key.name, key.key_id, key.loops, key.requests_a_minute, key.tokens_a_minute)),
                              _day(key.ends_at)) for key in found])  # fmt: skip


@clients.command()
def rotate(
    name: Name,
    grace: Annotated[str, typer.Option(help="How long keys before still count, for example 24h.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Give a client another key, and print it; the one before counts for a time."""
    from ftassets.backends.control.clients import change_clients, fresh_key
    from ftassets.config.units import seconds

    key, now, left = fresh_key(), time.time(), seconds(grace)
    change_clients(backend("control"), lambda keys: keys.rotated(name, key, now, left))
    _tell(name, key, as_json)


@clients.command()
def revoke(name: Name, as_json: AsJson = False) -> None:
    """End all keys of a client, within two seconds at a running gateway. After the last client's, every request is refused."""
    from ftassets.backends.control.clients import change_clients

    now = time.time()
    change_clients(backend("control"), lambda keys: keys.revoked(name, now))
    if as_json:
        show_json({"client": name, "revoked_at": now})
    else:
        typer.echo(f"{name} has no valid key any more")


def _tell(name: str, key: str, as_json: bool) -> None:
    if as_json:
        show_json({"client": name, "key": key})
    else:
        typer.echo(key)
        typer.echo(f"this is the key of {name}: it is shown once, and only its hash is stored", err=True)


def _shown(value: Any) -> str:
    return "all" if value is None else ", ".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value


def _day(at: float | None) -> str:
    return "never" if at is None else utc(at)
