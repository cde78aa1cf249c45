"""A plugin of vLLM: adapters that are released for a loop, and no others, under their digests.

vLLM finds `register` by the package's entry point in `vllm.general_plugins`. It does nothing unless FTASSETS_VLLM_LOOPS names loops.
https://docs.vllm.ai/en/latest/design/lora_resolver_plugins.html
"""

import asyncio
import logging
import os
import re
import time
from typing import Any

from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import version_folder
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.serve_gate import serve_gate
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.domain.release.version import ADAPTER

log = logging.getLogger(f"vllm.{__name__}")  # vLLM shows the lines of its own loggers alone
LOOPS = "FTASSETS_VLLM_LOOPS"
NAME = "ftassets"
_DIGEST = re.compile(r"[0-9a-f]{64}")
# by these, whoever reaches vLLM could load files of their choice, or take an adapter away; the last are SageMaker's names for them
_LOADING = frozenset({"load_lora_adapter", "unload_lora_adapter", "adapters"})


class ReleasedAdapters:
    """What vLLM asks for an adapter whose name it does not know yet: its `LoRAResolver`."""

    def __init__(self, home: Home, loops: tuple[str, ...]) -> None:
        """`home` has `versions`, `releases` and the public keys, and is only read."""
        self._artifacts = profiles.artifacts(home)
        self._releases = Releases(profiles.control(home), profiles.verifier(home))
        self._loops = loops

    async def resolve_lora(self, base_model_name: str, lora_name: str) -> Any:
        """vLLM's LoRARequest for the adapter of a version with this digest; None, and a line in the log, unless it is released now."""
        if not _DIGEST.fullmatch(lora_name):
            return None
        path = await asyncio.to_thread(self._checked, lora_name)
        if path is None:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest(lora_name=lora_name, lora_int_id=1, lora_path=path)  # vLLM gives it a number of its own

    def _checked(self, digest: str) -> str | None:
        try:
            folder = version_folder(self._artifacts, digest)
        except VersionDamaged as error:
            log.warning("adapter %s is not loaded: %s", digest[:12], error)
            return None
        for loop in self._loops:
            found = serve_gate(folder, loop, self._releases, time.time(), ADAPTER)
            if found.open and found.version == digest:
                return str(folder / ADAPTER)
            why = "; ".join(found.objections) or f"{folder} holds version {str(found.version)[:12]}"
            log.warning("adapter %s is not loaded for %s: %s", digest[:12], loop, why)
        return None


class NothingElse:
    """ASGI middleware for `vllm serve --middleware`: adapters are neither loaded nor unloaded by request."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and _LOADING & set(scope["path"].split("/")):
            body = b'{"error": {"message": "adapters are released: ask for one by its digest", "type": "Forbidden", "code": 403}}'
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"application/json")]})
            return await send({"type": "http.response.body", "body": body})
        await self._app(scope, receive, send)


def register() -> None:
    """Let vLLM ask for released adapters of the loops that FTASSETS_VLLM_LOOPS names. Called in each of its processes."""
    loops = tuple(filter(None, (name.strip() for name in os.environ.get(LOOPS, "").split(","))))
    if not loops:
        return
    from vllm.lora.resolver import LoRAResolverRegistry

    LoRAResolverRegistry.register_resolver(NAME, ReleasedAdapters(Home.from_env(), loops))
