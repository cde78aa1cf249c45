"""What the gateway knows of a version's tokenizer: how many tokens a request has, and which texts it would read as control tokens.

A request that does not fit into the engine would end the engine for all users, so the answer's limit is cut.
"""

import asyncio
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.versions import control_tokens_of, version_key
from ftassets.domain.chat import Chat
from ftassets.domain.dataset.control_tokens import escape_of
from ftassets.domain.release.version import MERGED

MARGIN = 128  # tokens for what the chat template adds, and for the engine's last block


class Context:
    """Counts with the version's own tokenizer, and only where the number of bytes leaves a doubt."""

    def __init__(self, artifacts: Artifacts, limit: int) -> None:
        """`limit` is the number of tokens, prompt and answer, one request may have in the engine."""
        self._limit = limit - MARGIN
        self._tokenizer = lru_cache(maxsize=4)(lambda digest: _load(artifacts, digest))
        self._escape = lru_cache(maxsize=64)(lambda digest: escape_of(control_tokens_of(artifacts, digest)))

    async def escaped(self, digest: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> Chat:
        """Messages and tools with the control tokens of the version's tokenizer broken, as training and evaluation do it."""
        return (await asyncio.to_thread(self._escape, digest)).chat(Chat(messages, tools))

    async def room(self, digest: str, text: bytes, wanted: int) -> int:
        """Tokens left for the answer to a prompt, at most `wanted`; below 1 the prompt itself is too long."""
        room = self._limit - len(text)  # a token has at least one byte
        if room < wanted:
            room = self._limit - await asyncio.to_thread(self._count, digest, text.decode())
        return min(room, wanted)

    def _count(self, digest: str, text: str) -> int:
        tokenizer = self._tokenizer(digest)
        return len(text.encode()) if tokenizer is None else len(tokenizer.encode(text, add_special_tokens=False).ids)


def _load(artifacts: Artifacts, digest: str) -> Tokenizer | None:
    try:
        return Tokenizer.from_file(str(artifacts.local(version_key(digest, MERGED, "tokenizer.json"))))
    except ArtifactMissing:
        return None
