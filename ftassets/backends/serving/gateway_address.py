"""How the processes of a home find its gateway and prove that they may use its admin API: two files, written by the gateway."""

import json
from dataclasses import asdict, dataclass

from ftassets.config.home import Home
from ftassets.domain.formats import read, stamp
from ftassets.durable import secret, write_durably

ADDRESS = "address.json"  # in the gateway's folder
ADMIN_TOKEN = "admin.token"  # among the keys


@dataclass(frozen=True)
class Address:
    """Where a gateway listens: base URLs, without /v1, of what clients use and of the admin API; and its process id."""

    public: str
    admin: str
    pid: int


def write_address(home: Home, address: Address) -> None:
    """Say where the gateway of this home listens. Raises OSError."""
    write_durably(home.gateway / ADDRESS, json.dumps(stamp("address", asdict(address))))


def read_address(home: Home) -> Address:
    """Where the gateway of this home listens, or did last. Raises OSError without one, ValueError or TypeError on a damaged file."""
    return Address(**read("address", json.loads((home.gateway / ADDRESS).read_bytes())))


def admin_token(home: Home) -> str:
    """The secret of the admin API, made at the first call."""
    return secret(home.keys / ADMIN_TOKEN)


def read_admin_token(home: Home) -> str:
    """The secret as a gateway made it. Raises OSError while none ran."""
    return (home.keys / ADMIN_TOKEN).read_text().strip()
