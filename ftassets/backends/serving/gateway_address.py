"""How the processes of a home find its gateway and prove that they may use its admin API: two files, written by the gateway."""

import json
import re
from dataclasses import asdict, dataclass

from ftassets.config.home import Home
from ftassets.domain.canonical import parse_json
from ftassets.domain.formats import read, stamp
from ftassets.durable import secret, write_durably
from ftassets.errors import InvalidInput

ADDRESS = "address.json"  # in the gateway's folder
ADMIN_TOKEN = "admin.token"  # among the keys
_TOKEN = re.compile(rb"[!-~]+")


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
    found = Address(**read("address", parse_json((home.gateway / ADDRESS).read_bytes())))
    if not isinstance(found.public, str) or not isinstance(found.admin, str):
        raise TypeError("the URLs are not text")
    return found


def admin_token(home: Home) -> str:
    """The secret of the admin API, made at the first call. Raises OSError, InvalidInput for a file that does not hold one."""
    path = home.keys / ADMIN_TOKEN
    if not path.exists():
        secret(path)
    return read_admin_token(home)


def read_admin_token(home: Home) -> str:
    """The secret as a gateway made it. Raises OSError while none ran, InvalidInput for a file that does not hold one."""
    path = home.keys / ADMIN_TOKEN
    token = path.read_bytes().strip()
    if not _TOKEN.fullmatch(token):  # an HTTP library's error would show it
        raise InvalidInput(f"{path} is not one word of ASCII characters: remove it and start the gateway again with `ftassets up`")
    return token.decode("ascii")
