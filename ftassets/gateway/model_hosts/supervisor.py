"""Model servers as programs of the supervisord that `ftassets up` runs, one a version."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ftassets.backends.artifacts.version_folder import VersionDamaged, read_manifest
from ftassets.config.loop import LoopConfig
from ftassets.config.version_engine import serving_of
from ftassets.gateway.model_hosts.base import HostError
from ftassets.gateway.model_hosts.programs import Programs
from ftassets.gateway.model_hosts.transformers_serve import CONTEXT
from ftassets.gateway.model_hosts.vllm_serve import arguments_of


class SupervisorHost:
    """One server a version with its merged weights: `transformers serve`, or vLLM where the version's loop asks for it."""

    context = CONTEXT

    def __init__(self, processes: Path, loops: Mapping[str, LoopConfig]) -> None:
        self._programs = Programs(processes, "model")
        self._loops = loops

    async def start(self, digest: str, folder: Path) -> None:
        try:
            serving = serving_of(read_manifest(folder), self._loops)
        except VersionDamaged as error:
            raise HostError(str(error)) from error
        command = partial(arguments_of, folder, serving.vllm, False) if serving.engine == "vllm" else partial(_transformers, folder)
        await asyncio.to_thread(self._programs.start, digest, command)

    async def stop(self, digest: str) -> None:
        await asyncio.to_thread(self._programs.stop, digest)

    async def running(self) -> dict[str, str]:
        programs = await asyncio.to_thread(self._programs.all)
        return {digest: server.url for digest, server in programs.items() if server.alive}

    async def failure(self, digest: str) -> str | None:
        return await asyncio.to_thread(self._programs.failure, digest)


def _transformers(folder: Path, here: Path, port: int) -> Sequence[str]:
    return [
        "-m",
        "ftassets.gateway.model_hosts.transformers_serve",
        os.path.relpath(folder, here),
        "--port",
        str(port),
        "--cache",
        "hf-cache",
    ]
