"""Where the gateway listens."""

import asyncio
from urllib.parse import urlsplit

from ftassets.config.home import Home
from ftassets.gateway.server import Address, serve
from ftassets.testing.thread_host import ThreadHost


def test_the_admin_api_is_on_loopback_whatever_the_public_address_is(home: Home, host: ThreadHost) -> None:
    found: list[Address] = []
    stop = asyncio.Event()

    def started(address: Address) -> None:
        found.append(address)
        stop.set()

    asyncio.run(serve(home, {}, host, stop, bind="127.0.0.2", started=started))
    [address] = found
    assert (urlsplit(address.public).hostname, urlsplit(address.admin).hostname) == ("127.0.0.2", "127.0.0.1")
