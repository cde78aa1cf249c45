"""An embedder behind an endpoint: what is sent, what is asked again, and which answers are refused."""

import base64
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ftassets.backends.embedder import openai as backend
from ftassets.backends.embedder.base import EMPTY, EmbedderError
from ftassets.backends.embedder.openai import OpenAIEmbedder
from ftassets.config.loop import EmbedderSettings
from ftassets.testing.doubles.embeddings import EmbeddingsDouble, embeddings_double
from ftassets.testing.hash_embedder import HashEmbedder

KEY = "sk-s3cr3t"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingsDouble]:
    monkeypatch.setenv("EMBEDDER_KEY", KEY)
    with embeddings_double() as running:
        yield running


def made(endpoint: EmbeddingsDouble, **more: Any) -> OpenAIEmbedder:
    settings = EmbedderSettings(**{"type": "openai", "url": endpoint.url, "model": endpoint.model, "api_key_env": "EMBEDDER_KEY", **more})
    return OpenAIEmbedder(settings, backoff=0.01, timeout=(5.0, 5.0))


def sent(endpoint: EmbeddingsDouble) -> list[str]:
    return [text for body in endpoint.asked for text in body["input"]]


def test_texts_are_sent_in_batches_with_model_key_and_prefix(endpoint: EmbeddingsDouble) -> None:
    texts = [f"lamp {n}" for n in range(70)]
    vectors = made(endpoint, prefix="query: ").embed(texts)
    assert [len(body["input"]) for body in endpoint.asked] == [32, 32, 6]
    assert sent(endpoint) == [f"query: {text}" for text in texts]
    assert {body["model"] for body in endpoint.asked} == {"embed-small"}
    assert {body["encoding_format"] for body in endpoint.asked} == {"base64"}
    assert {headers["authorization"] for headers in endpoint.headers} == {f"Bearer {KEY}"}
    np.testing.assert_allclose(vectors, HashEmbedder().embed([f"query: {text}" for text in texts]), atol=1e-6)


def test_an_endpoint_without_a_key_gets_none(endpoint: EmbeddingsDouble) -> None:
    made(endpoint, api_key_env=None).embed(["a"])
    assert "authorization" not in endpoint.headers[0]


def test_blank_texts_are_sent_as_a_word(endpoint: EmbeddingsDouble) -> None:
    made(endpoint).embed(["", " \n", "lamp"])
    assert sent(endpoint) == [EMPTY, EMPTY, "lamp"]


def test_a_busy_endpoint_is_asked_again(endpoint: EmbeddingsDouble) -> None:
    endpoint.replies = [(429, "0"), (500, "no"), (503, "no")]
    assert made(endpoint).embed(["lamp"]).shape == (1, 64)
    assert len(endpoint.asked) == 4
    endpoint.replies = [(429, "0")] * backend.TRIES
    with pytest.raises(EmbedderError, match="answered 429.*asked 6 times: try later"):
        made(endpoint).embed(["lamp"])
    assert len(endpoint.asked) == 4 + backend.TRIES


def test_a_text_is_cut_to_its_end(endpoint: EmbeddingsDouble) -> None:
    made(endpoint).embed(["x" * 20_000 + "cancel it"])
    assert [len(text) for text in sent(endpoint)] == [backend.LONGEST]
    assert sent(endpoint)[0].endswith("cancel it")


def test_what_the_endpoint_finds_too_long_is_asked_in_halves(endpoint: EmbeddingsDouble) -> None:
    endpoint.longest = 1000
    long = "y" * 3000 + "cancel it"
    vectors = made(endpoint).embed(["lamp", "window", long, "door"])
    assert endpoint.asked[-2]["input"][0].endswith("cancel it")
    assert {text for text in sent(endpoint) if len(text) <= 1000} >= {"lamp", "window", "door"}
    np.testing.assert_allclose(vectors[[0, 1, 3]], HashEmbedder().embed(["lamp", "window", "door"]), atol=1e-6)
    np.testing.assert_allclose(vectors[2], HashEmbedder().embed([long[-753:]])[0], atol=1e-6)


def test_a_short_text_that_is_refused_is_an_error(endpoint: EmbeddingsDouble) -> None:
    endpoint.longest = 3
    with pytest.raises(EmbedderError, match=r"answered 400: .*maximum context length is 3"):
        made(endpoint).embed(["lamp", "window"])
    assert len(endpoint.asked) == 2, "a wrong setting costs a few requests, not one a text"


def test_the_key_is_asked_for_by_name_and_never_shown(endpoint: EmbeddingsDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.replies = [(401, f"the key {KEY} is wrong")]
    with pytest.raises(EmbedderError, match=r"answered 401: .*\*\*\*.*is the key the right one") as refused:
        made(endpoint).embed(["lamp"])
    assert KEY not in str(refused.value)
    monkeypatch.delenv("EMBEDDER_KEY")
    embedder = made(endpoint)
    assert embedder.id, "an id needs no key"
    with pytest.raises(EmbedderError, match="the embedder's key is expected in the environment variable EMBEDDER_KEY, which is not set"):
        embedder.embed(["lamp"])


def test_nobody_there_is_one_sentence(endpoint: EmbeddingsDouble) -> None:
    with pytest.raises(EmbedderError, match=r"the embedder at http://127.0.0.1:9/v1/embeddings does not answer"):
        made(endpoint, url="http://127.0.0.1:9/v1").embed(["lamp"])
    with pytest.raises(EmbedderError, match="answered 404.*are url and model right"):
        made(endpoint, model="other").embed(["lamp"])


def _encoded(vector: Any) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def _with(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {**answer, "data": change(answer["data"])}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_with(lambda data: data[:-1]), "answered 2 embeddings, with 2 places, for 3 texts"),
        (_with(lambda data: [*data, data[0]]), "answered 4 embeddings, with 3 places, for 3 texts"),
        (_with(lambda data: [{**item, "index": 0} for item in data]), "answered 3 embeddings, with 1 place, for 3 texts"),
        (_with(lambda data: [{**item, "index": item["index"] + 1} for item in data]), "answered 3 embeddings"),
        (_with(lambda data: [{**item, "embedding": None} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{**item, "embedding": ["1", "2"]} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{**item, "embedding": [True, False]} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{**item, "embedding": [10**400]} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{**item, "embedding": []} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{**item, "embedding": "?"} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{**item, "embedding": "YWJj"} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{**item, "embedding": [[1.0]]} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: [{"index": item["index"]} for item in data]), "did not answer with a list of embeddings"),
        (_with(lambda data: 7), "did not answer with a list of embeddings"),
        (lambda answer: {"object": "list"}, "did not answer with a list of embeddings"),
        (_with(lambda data: [{**data[0], "embedding": [1.0]}, *data[1:]]), "gave vectors of different lengths, 1 and 64"),
        (_with(lambda data: [{**data[0], "embedding": [0.0] * 64}, *data[1:]]), "gave 1 of 3 texts a vector that is zero or not finite"),
        (_with(lambda data: [{**data[0], "embedding": [float("nan")] * 64}, *data[1:]]), "gave 1 of 3 texts a vector that is zero"),
        (_with(lambda data: [{**i, "embedding": _encoded([np.inf] * 64)} for i in data]), "gave 3 of 3 texts a vector that is zero"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_compared_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], reason: str, endpoint: EmbeddingsDouble
) -> None:
    endpoint.change = change
    with pytest.raises(EmbedderError, match=reason) as refused:
        made(endpoint).embed(["lamp", "window", "secret door"])
    assert "secret" not in str(refused.value)


def test_the_id_names_the_space(endpoint: EmbeddingsDouble) -> None:
    ids = {
        made(endpoint, **more).id
        for more in ({}, {"model": "embed-large"}, {"url": "https://other.example/v1"}, {"revision": "2"}, {"prefix": "q: "})
    }
    assert len(ids) == 5
    assert made(endpoint, api_key_env=None).id == made(endpoint).id, "another key is not another space"
    assert made(endpoint).id.startswith("embed-small:")
    assert endpoint.asked == []


def test_no_text_and_no_key_is_logged(endpoint: EmbeddingsDouble, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.replies = [(429, "0")]
    with caplog.at_level(logging.DEBUG):
        made(endpoint).embed(["secret lamp"])
    assert "secret" not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("said", ["my diagnosis is cancer", "bad value: 'is my diagn", "MY  DIAGNOSIS\\n is"])
def test_an_error_that_quotes_a_text_is_not_shown(said: str, endpoint: EmbeddingsDouble) -> None:
    endpoint.replies = [(422, f"not taken: {said}")]
    with pytest.raises(EmbedderError, match="answered 422$"):
        made(endpoint).embed(["what is my diagnosis is cancer"])
