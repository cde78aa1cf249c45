"""An embedding model behind any endpoint that speaks OpenAI's embeddings."""

import base64
import binascii
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ftassets.backends.embedder.base import Embedder, EmbedderError
from ftassets.backends.model_client.openai import OpenAIEndpoint, Reply
from ftassets.config.loop import EmbedderSettings
from ftassets.domain.canonical import digest_of
from ftassets.wording import amount

BATCH = 32  # texts in one request: some servers take no more
LONGEST = 8000  # characters of a text, from its end
SHORTEST = 250  # characters below which a refusal cannot be for the length
TIMEOUT = (10.0, 120.0)  # seconds to connect, and between two reads
TRIES = 6
LONGEST_WAIT = 60  # seconds, whatever Retry-After says
_TOO_MUCH = (400, 413, 422)  # what servers answer when a text, or all of them together, are too long


class OpenAIEmbedder(Embedder):
    """Asks for 32 texts a request; a busy endpoint is asked again, slower each time or as it says.

    What the endpoint finds too long is asked again as two halves of the request, and a single text with the last half of it.
    """

    def __init__(self, settings: EmbedderSettings, backoff: float = 1.0, timeout: tuple[float, float] = TIMEOUT) -> None:
        """`settings` have url and model; `backoff` is the first pause in seconds, doubled each time."""
        self._settings, self._backoff, self._timeout = settings, backoff, timeout

    @property
    def id(self) -> str:
        depends_on = self._settings.model_dump(include={"url", "model", "revision", "prefix"}) | {"longest": LONGEST}
        return f"{self._settings.model}:{digest_of(depends_on)[:16]}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (len(texts), d). Raises EmbedderError."""
        cut = [text[-LONGEST:] for text in texts]
        vectors = [vector for start in range(0, len(cut), BATCH) for vector in self._asked(cut[start : start + BATCH])]
        if len(lengths := {len(vector) for vector in vectors}) > 1:
            raise self._failed(f"gave vectors of different lengths, {min(lengths)} and {max(lengths)}")
        return np.stack(vectors)

    @functools.cached_property
    def _endpoint(self) -> OpenAIEndpoint:
        url, key = self._settings.url or "", self._settings.api_key_env
        return OpenAIEndpoint(
            "embedder", url, key, EmbedderError, TRIES, self._backoff, LONGEST_WAIT, self._timeout, path="/embeddings"
        )  # fmt: skip

    def _asked(self, texts: Sequence[str]) -> list[np.ndarray]:
        prefixed = [f"{self._settings.prefix}{text}" for text in texts]
        body = {"model": self._settings.model, "input": prefixed, "encoding_format": "base64"}
        response = self._endpoint.post(body)
        if response.status_code == 200:
            return self._vectors(response, len(texts))
        if response.status_code in _TOO_MUCH and len(texts) > 1:
            half = len(texts) // 2
            return [*self._asked(texts[:half]), *self._asked(texts[half:])]
        if response.status_code in _TOO_MUCH and len(texts[0]) > SHORTEST:
            return self._asked([texts[0][len(texts[0]) // 2 :].strip() or texts[0][-SHORTEST:]])
        said = self._endpoint.said(response)  # not the body: it may hold the texts
        raise self._failed(f"answered {response.status_code}{said}{_ADVICE.get(response.status_code, '')}")

    def _vectors(self, response: Reply, count: int) -> list[np.ndarray]:
        """Vectors in the order of the texts, whatever order they came in."""
        try:
            data = response.json()["data"]
            by_place = {item["index"]: _decoded(item["embedding"]) for item in data if type(item["index"]) is int}
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:  # the answer may hold the texts
            raise self._failed(f"did not answer with a list of embeddings ({type(error).__name__})") from None
        if len(data) != count or by_place.keys() != set(range(count)):
            raise self._failed(f"answered {amount(len(data), 'embedding')}, with {amount(len(by_place), 'place')}, for {count} texts")
        return [by_place[place] for place in range(count)]

    def _failed(self, what: str) -> EmbedderError:
        return EmbedderError(self._endpoint.clean(f"the embedder at {self._endpoint.url} {what}"))


def _decoded(embedding: Any) -> np.ndarray:
    """A vector (d,), float32, from numbers or the base64 of little-endian float32. Raises ValueError, TypeError, OverflowError."""
    if isinstance(embedding, str):
        try:
            vector = np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
        except binascii.Error as error:
            raise ValueError("not base64") from error
    else:
        if not all(type(number) in (int, float) for number in embedding):
            raise ValueError("not numbers")
        vector = np.array(embedding, dtype=np.float32)
    if vector.ndim != 1 or not len(vector):
        raise ValueError("not one vector")
    return vector


_ADVICE = {
    401: " (is the key the right one?)",
    403: " (may this key use the model?)",
    404: " (are url and model right? the url ends before /embeddings)",
    429: f" (asked {TRIES} times: try later; what was embedded before is kept)",
}
