"""What the gateway needs of whatever runs model servers."""

from pathlib import Path
from typing import Protocol

from ftassets.errors import FtassetsError

MODEL_NAME = "merged"  # every server knows its model by this name


class HostError(FtassetsError):
    """A model server could not be started or did not become ready; the message says why."""


class ModelHost(Protocol):
    """Runs one OpenAI-compatible server a version; a server that dies is started again, until it is stopped."""

    context: int  # tokens, prompt and answer, that one request may have

    async def start(self, digest: str, folder: Path) -> None:
        """Begin to start the server of the version in `folder`. Raises HostError."""

    async def stop(self, digest: str) -> None:
        """End the server; does nothing without one. Raises HostError."""

    async def running(self) -> dict[str, str]:
        """Base URL (without /v1) of every server that is starting or up, by digest. Raises HostError."""

    async def failure(self, digest: str) -> str | None:
        """Why a server was given up, with the end of its log; None when it was not."""
