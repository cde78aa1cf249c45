"""Each version on the engine that its loop names; what shares a server, or is served elsewhere, gets an address here."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from ftassets.backends.artifacts.external import read_endpoint
from ftassets.backends.artifacts.version_folder import VersionDamaged, read_manifest
from ftassets.backends.model_client.external import KeyMissing
from ftassets.config.loop import LoopConfig
from ftassets.config.version_engine import serving_of
from ftassets.domain.release.version import FULL
from ftassets.gateway.model_hosts.base import HostError, ModelHost
from ftassets.gateway.model_hosts.relay import Relay
from ftassets.gateway.model_hosts.vllm_adapters import VllmAdapters


class Hosts:
    """A host of all versions: `own` runs a server for each, `adapters` shares one among the adapters of a base."""

    def __init__(self, own: ModelHost, adapters: VllmAdapters, session: aiohttp.ClientSession, loops: Mapping[str, LoopConfig]) -> None:
        self.context = own.context
        self._own = own
        self._adapters = adapters
        self._session = session
        self._loops = loops
        self._relays: dict[str, Relay] = {}

    async def start(self, digest: str, folder: Path) -> None:
        """Raises HostError: the endpoint does not answer, its key is not there, or what the version's host says."""
        try:
            model = await asyncio.to_thread(read_endpoint, folder)
            if model is None:
                manifest = await asyncio.to_thread(read_manifest, folder)
                serving = serving_of(manifest, self._loops)
                if serving.engine != "url":
                    shared = serving.adapter_server and manifest.kind != FULL
                    return await (self._adapters if shared else self._own).start(digest, folder)
                model = serving.remote(digest)
            relay = Relay(model, self._session)
        except (KeyMissing, VersionDamaged) as error:
            raise HostError(str(error)) from error
        await relay.open()
        self._relays[digest] = relay

    async def stop(self, digest: str) -> None:
        if relay := self._relays.pop(digest, None):
            return await relay.close()
        shared = digest in await self._adapters.running()
        await (self._adapters if shared else self._own).stop(digest)

    async def running(self) -> dict[str, str]:
        relays = {digest: relay.url for digest, relay in self._relays.items()}
        return {**await self._own.running(), **await self._adapters.running(), **relays}

    async def failure(self, digest: str) -> str | None:
        return None if digest in self._relays else await self._own.failure(digest)

    async def aclose(self) -> None:
        """End all relays; the servers go on."""
        while self._relays:
            await self._relays.popitem()[1].close()
