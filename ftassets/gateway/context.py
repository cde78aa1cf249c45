"""What the gateway knows of a version's tokenizer: how many tokens a request has, and which texts it would read as control tokens.

A request that does not fit into the engine would end the engine for all users, so the answer's limit is cut.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.versions import control_tokens_of, version_key
from ftassets.domain.chat import Chat
from ftassets.domain.dataset.control_tokens import Escape, escape_of
from ftassets.domain.release.version import MERGED

MARGIN = 128  # tokens for what the chat template adds, and for the engine's last block
TOKEN_BYTES = 32  # of the longest request, for each token of the engine: text has about 4, white space of code up to 10
_PIECE = 16_000  # characters that are counted at once: a few milliseconds


class Context:
    """Counts with the version's own tokenizer, and only where the number of bytes leaves a doubt.

    One thread does it for all requests, without holding the interpreter: neither other requests nor the admin API wait for it.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._tokenizer = lru_cache(maxsize=4)(lambda digest: _load(artifacts, digest))
        self._escapes: dict[str, Escape] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def escaped(self, digest: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> Chat:
        """Messages and tools with the control tokens of the version's tokenizer broken, as training and evaluation do it."""
        if digest not in self._escapes:
            known = await self._elsewhere(control_tokens_of, self._artifacts, digest)
            self._escapes[digest] = escape_of(known)
        return self._escapes[digest].chat(Chat(messages, tools))

    async def room(self, digest: str, text: bytes, wanted: int, limit: int) -> int:
        """Tokens left for the answer to a prompt, at most `wanted`; below 1 the prompt is too long, by at least so many.

        `limit` is the number of tokens, prompt and answer, that one request may have in the engine.
        """
        limit -= MARGIN
        room = limit - len(text)  # a token has at least one byte
        if room < wanted:
            room = limit - await self._elsewhere(self._count, digest, text.decode(), limit)
        return min(room, wanted)

    async def _elsewhere(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _count(self, digest: str, text: str, limit: int) -> int:
        """Tokens of a text, or a number over the limit as soon as there are more."""
        tokenizer = self._tokenizer(digest)
        if tokenizer is None:
            return len(text.encode())
        count = 0
        for start in range(0, len(text), _PIECE):  # a cut word has a token or two more: they are counted, and less is left
            # only the batch lets go of the interpreter
            [piece] = tokenizer.encode_batch_fast([text[start : start + _PIECE]], add_special_tokens=False)
            count += len(piece.ids)
            if count > limit:
                break
        return count


def _load(artifacts: Artifacts, digest: str) -> Tokenizer | None:
    try:
        return Tokenizer.from_file(str(artifacts.local(version_key(digest, MERGED, "tokenizer.json"))))
    except ArtifactMissing:
        return None
