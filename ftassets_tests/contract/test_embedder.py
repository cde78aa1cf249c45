"""The contract of an embedder, on every one we have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ftassets.backends.embedder.minilm import MiniLmEmbedder
from ftassets.backends.embedder.openai import OpenAIEmbedder
from ftassets.backends.embedder.sentence_transformers import SentenceTransformersEmbedder
from ftassets.config.loop import EmbedderSettings
from ftassets.testing.contracts.embedder import EmbedderContract, MakeEmbedder
from ftassets.testing.doubles.embeddings import embeddings_double
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.tiny_embedder import tiny_sentence_transformer


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sentence_transformer(tmp_path_factory.mktemp("tiny") / "model")


class TestMiniLm(EmbedderContract):
    @pytest.fixture
    def make(self) -> MakeEmbedder:
        return MiniLmEmbedder


class TestFolder(EmbedderContract):
    @pytest.fixture
    def make(self) -> MakeEmbedder:
        folder = MiniLmEmbedder()._folder
        return lambda: SentenceTransformersEmbedder(str(folder))


class TestTinyModel(EmbedderContract):
    knows_words = False

    @pytest.fixture
    def make(self, tiny_model: Path) -> MakeEmbedder:
        return lambda: SentenceTransformersEmbedder(str(tiny_model), prefix="query: ")


@pytest.mark.parametrize("floats", [False, True], indirect=True)
class TestOpenAI(EmbedderContract):
    @pytest.fixture
    def floats(self, request: pytest.FixtureRequest) -> bool:
        return request.param

    @pytest.fixture
    def make(self, floats: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeEmbedder]:
        monkeypatch.setenv("EMBEDDER_KEY", "k3y")
        with embeddings_double() as endpoint:
            endpoint.floats, endpoint.longest = floats, 3000
            settings = EmbedderSettings(type="openai", url=endpoint.url, model=endpoint.model, api_key_env="EMBEDDER_KEY")
            yield lambda: OpenAIEmbedder(settings, backoff=0.01)


class TestHash(EmbedderContract):
    @pytest.fixture
    def make(self) -> MakeEmbedder:
        return HashEmbedder
