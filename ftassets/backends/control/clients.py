"""The API keys of a gateway's clients: one document, without a key in it."""

import secrets
from collections.abc import Callable

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.clients import PREFIX, ClientKeys
from ftassets.errors import StateDamaged, in_one_line

KEY = "gateway/clients.json"
_LOCKED = 10.0  # seconds


def read_clients(control: Control) -> ClientKeys:
    """All keys; none where none was ever made. Raises StateDamaged, OSError."""
    return _parsed(control, control.read(KEY))


def change_clients(control: Control, change: Callable[[ClientKeys], ClientKeys]) -> ClientKeys:
    """Replace the keys by what `change` makes of them; returns that. Raises what `change` does, StateDamaged, Locked, OSError."""
    made: list[ClientKeys] = []

    def replaced(content: bytes | None) -> bytes:
        made.append(change(_parsed(control, content)))
        return canonical_json(made[-1].document())

    control.update(KEY, replaced, _LOCKED)
    return made[-1]


def fresh_key() -> str:
    """A new key of 256 random bits."""
    return f"{PREFIX}{secrets.token_urlsafe(32)}"


def _parsed(control: Control, content: bytes | None) -> ClientKeys:
    if content is None:
        return ClientKeys()
    try:
        return ClientKeys.parse(content)
    except ValueError as error:  # NewerFormat too
        raise StateDamaged(f"{control.uri(KEY)}: the clients' keys cannot be read ({in_one_line(error)}): restore it") from error
