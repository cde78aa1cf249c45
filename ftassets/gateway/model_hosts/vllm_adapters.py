"""Versions as adapters on vLLM: one base, loaded once for all loops on it, and each adapter under its version's digest.

https://docs.vllm.ai/en/latest/features/lora.html#dynamically-serving-lora-adapters
"""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.version_folder import VersionDamaged, verify_folder
from ftassets.backends.artifacts.versions import load_manifest, own_generation, version_folder
from ftassets.backends.model_client.external import KeyMissing
from ftassets.config.loop import Serving
from ftassets.domain.canonical import digest_of
from ftassets.domain.release.decoding import truncation
from ftassets.domain.release.version import ADAPTER, VersionManifest
from ftassets.errors import in_one_line
from ftassets.gateway.model_hosts.base import MODEL_NAME, HostError
from ftassets.gateway.model_hosts.programs import Program
from ftassets.gateway.model_hosts.relay import Relay
from ftassets.gateway.model_hosts.vllm_serve import arguments_of

log = logging.getLogger(__name__)

READY_WITHIN = 900.0  # seconds: it reads and checks every byte of the base first, and compiles
UNUSED_FOR = 60.0  # seconds after which a server without a version is stopped: the next version often comes at once
_POLL = 0.2
_ASK = aiohttp.ClientTimeout(total=60)


class Servers(Protocol):
    """What starts and ends the servers of bases: `programs.Programs`, or a test's own."""

    def start(self, name: str, arguments: Callable[[Path, int], Any]) -> None: ...
    def stop(self, name: str) -> None: ...
    def all(self) -> dict[str, Program]: ...
    def failure(self, name: str) -> str | None: ...


class VllmAdapters:
    """A host of versions that are adapters. Each has an address of its own on loopback, behind which all share the server of their base."""

    def __init__(
        self, servers: Servers, artifacts: Artifacts, session: aiohttp.ClientSession, serving: Callable[[VersionManifest], Serving]
    ) -> None:
        self._servers = servers
        self._artifacts = artifacts
        self._session = session
        self._serving = serving
        self._relays: dict[str, tuple[Relay, str]] = {}  # and the name of the server; none of one that others run
        self._starting: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unused: dict[str, float] = {}

    async def start(self, digest: str, folder: Path) -> None:
        """Load the version's adapter, once its base is up. Raises HostError."""
        try:
            manifest = await asyncio.to_thread(verify_folder, folder)
            serving = self._serving(manifest)
            base = digest if manifest.kind == "base" else manifest.base_digest
            self._fits(manifest, folder, serving)
            name = "" if serving.url else digest_of([base, serving.adapter_server])
            model = MODEL_NAME if base == digest else digest
            relay = Relay(serving.remote(model), self._session, listed=True, defaults=self._defaults(manifest)) if serving.url else None
            if relay is None:
                url = await self._up(name, base or "", serving)
                here = serving.model_copy(update={"url": f"{url}/v1"})
                relay = Relay(here.remote(model), self._session, listed=True, defaults=self._defaults(manifest))
            if model == digest and await relay.unlisted():
                await self._load(relay, digest, folder / ADAPTER)
            await relay.open()
        except (KeyMissing, VersionDamaged) as error:
            raise HostError(str(error)) from error
        self._relays[digest] = (relay, name)

    async def stop(self, digest: str) -> None:
        """Unload the adapter; its server stays for a while."""
        relay, _ = self._relays.pop(digest, (None, ""))
        if relay is not None:
            await relay.close()
            if relay.model.model == digest:
                await self._ask(relay, "unload_lora_adapter", {"lora_name": digest})

    async def running(self) -> dict[str, str]:
        if self._unused:  # else this gateway started none
            await self._stop_unused()
        return {digest: relay.url for digest, (relay, _) in self._relays.items()}

    async def failure(self, digest: str) -> str | None:
        return None  # a start that fails says so itself

    async def aclose(self) -> None:
        """End all relays; the servers go on."""
        while self._relays:
            await self._relays.popitem()[1][0].close()

    def _fits(self, manifest: VersionManifest, folder: Path, serving: Serving) -> None:
        """Raises HostError for a version that the server of its base cannot serve."""
        if manifest.kind == "base":
            return
        merged = "set serving.vllm.merged: true, or serving.engine: transformers"
        if manifest.kind != ADAPTER or manifest.base_digest is None:
            raise HostError(f"version {manifest.digest[:12]} is not an adapter that vLLM could load on its base: {merged}")
        if load_manifest(self._artifacts, manifest.base_digest).tokenizer_digest != manifest.tokenizer_digest:
            raise HostError(f"tokenizer or chat template of version {manifest.digest[:12]} are not those of its base: {merged}")
        try:
            rank = int(json.loads((folder / ADAPTER / "adapter_config.json").read_bytes())["r"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise HostError(f"adapter_config.json of version {manifest.digest[:12]} has no rank ({in_one_line(error)})") from error
        if rank > serving.vllm.max_lora_rank:
            raise HostError(
                f"the adapter of version {manifest.digest[:12]} has rank {rank}, and the server takes up to {serving.vllm.max_lora_rank}: "
                "raise serving.vllm.max_lora_rank"
            )

    def _defaults(self, manifest: VersionManifest) -> dict[str, Any]:
        """Sampling of the version's own, as evaluation has it: vLLM gets it with each request."""
        return truncation(manifest.generation, own_generation(self._artifacts, manifest.digest))

    async def _up(self, name: str, base: str, serving: Serving) -> str:
        """URL of the server of a base once it answers; started if it does not run. Raises HostError."""
        async with self._starting[name]:
            self._unused[name] = time.monotonic()
            server = (await asyncio.to_thread(self._servers.all)).get(name)
            if server is None or not server.alive:
                folder = await asyncio.to_thread(version_folder, self._artifacts, base)
                log.info("starting vLLM with the base %s", base[:12])
                await asyncio.to_thread(self._servers.start, name, partial(arguments_of, folder, serving.vllm, True))
            until = time.monotonic() + READY_WITHIN
            while time.monotonic() < until:
                self._unused[name] = time.monotonic()
                if why := await asyncio.to_thread(self._servers.failure, name):
                    await asyncio.to_thread(self._servers.stop, name)
                    raise HostError(f"vLLM with the base {base[:12]}: {why}")
                url = (await asyncio.to_thread(self._servers.all))[name].url
                try:
                    async with self._session.get(f"{url}/health", timeout=aiohttp.ClientTimeout(total=5)) as reply:
                        if reply.status == 200:
                            return url
                except (TimeoutError, aiohttp.ClientError):
                    pass
                await asyncio.sleep(_POLL)
            raise HostError(f"vLLM with the base {base[:12]} was not ready within {READY_WITHIN:.0f} s: read its log")

    async def _load(self, relay: Relay, digest: str, adapter: Path) -> None:
        why = await self._ask(relay, "load_lora_adapter", {"lora_name": digest, "lora_path": str(adapter.resolve())})
        if why and await relay.unlisted():  # if it is there, another gateway was faster: the same name is the same bytes
            raise HostError(f"vLLM does not load the adapter of version {digest[:12]}: {why}")

    async def _ask(self, relay: Relay, verb: str, body: dict[str, str]) -> str | None:
        """Why vLLM did not do it; None when it did."""
        try:
            url = f"{relay.model.url}/{verb}"
            async with self._session.post(url, json=body, headers=relay.headers, timeout=_ASK, allow_redirects=False) as reply:
                return None if reply.status == 200 else f"it answered {reply.status}: {(await reply.text())[:500]}"
        except (TimeoutError, aiohttp.ClientError) as error:
            return f"it does not answer ({error or type(error).__name__})"

    async def _stop_unused(self) -> None:
        """End the servers that had no version for a while: also those of settings and bases that are gone."""
        now, used = time.monotonic(), {name for _, name in self._relays.values()}
        for name in await asyncio.to_thread(self._servers.all):
            if name in used or self._starting[name].locked():
                self._unused[name] = now
            elif now - self._unused.setdefault(name, now) > UNUSED_FOR:
                log.info("stopping vLLM %s: no version needs it", name[:12])
                await asyncio.to_thread(self._servers.stop, name)
                del self._unused[name]
