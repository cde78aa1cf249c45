"""Models of sentence-transformers: what their id covers, what is refused, and where they come from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ftassets.backends.embedder.base import EmbedderError
from ftassets.backends.embedder.minilm import MiniLmEmbedder
from ftassets.backends.embedder.sentence_transformers import SentenceTransformersEmbedder
from ftassets.testing.tiny_embedder import tiny_sentence_transformer

HUB = "acme/tiny-embedder"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sentence_transformer(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change, at a path of its own: what was read is kept by path."""
    return Path(shutil.copytree(made, tmp_path / "model"))


def ids_of(folder: Path) -> str:
    return SentenceTransformersEmbedder(str(folder)).id


def test_the_id_covers_weights_configuration_tokenizer_and_prefix(model: Path, tmp_path: Path) -> None:
    copies = {
        name: Path(shutil.copytree(model, tmp_path / name / "model")) for name in ("same", "weights", "pooling", "tokenizer", "readme")
    }
    weights = copies["weights"] / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    pooling = copies["pooling"] / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace('"mean"', '"cls"'))
    (copies["tokenizer"] / "tokenizer.json").write_text("{}")
    (copies["readme"] / "README.md").write_text("more words")
    made = {name: ids_of(folder) for name, folder in copies.items()}
    assert made["same"] == made["readme"] == ids_of(model)
    assert len(set(made.values())) == 4
    assert SentenceTransformersEmbedder(str(model), prefix="query: ").id != made["same"]


def test_a_prefix_is_kept_when_a_text_is_cut(model: Path) -> None:
    long = "the lamp in the hall " * 50
    plain, prefixed = SentenceTransformersEmbedder(str(model)), SentenceTransformersEmbedder(str(model), prefix="query: ")
    assert not np.allclose(plain.embed([long]), prefixed.embed([long]), atol=1e-3)
    np.testing.assert_allclose(prefixed.embed(["dim it"]), plain.embed(["query: dim it"]), atol=1e-6)


def test_the_default_prompt_of_a_model_is_used(model: Path) -> None:
    plain = SentenceTransformersEmbedder(str(model)).embed(["query: dim it"])
    prompted = Path(shutil.copytree(model, model.with_name("prompted")))
    config = prompted / "config_sentence_transformers.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"prompts": {"query": "query: "}, "default_prompt_name": "query"}))
    np.testing.assert_allclose(SentenceTransformersEmbedder(str(prompted)).embed(["dim it"]), plain, atol=1e-6)


def test_the_text_is_cut_at_its_last_token_that_fits(model: Path) -> None:
    embedder = SentenceTransformersEmbedder(str(model))  # one token a letter, 62 beside the two special ones
    kept = "x" * 3 + "a" * 30 + "b" * 29
    np.testing.assert_allclose(embedder.embed([f"{'y ' * 300}{kept}"]), embedder.embed([kept]), atol=1e-6)
    assert not np.allclose(embedder.embed([kept]), embedder.embed([kept[1:]]), atol=1e-4)


def test_a_prefix_that_leaves_no_room_is_refused(model: Path) -> None:
    with pytest.raises(EmbedderError, match="takes 64 tokens, and the prefix alone has 60: shorten embedder.prefix"):
        SentenceTransformersEmbedder(str(model), prefix="p" * 60).embed(["dim it"])


def test_weights_that_may_run_code_are_refused(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    for use in (lambda: ids_of(model), lambda: SentenceTransformersEmbedder(str(model)).embed(["a"])):
        with pytest.raises(EmbedderError, match="not safetensors, which may run code.*use a revision or a copy"):
            use()


def test_a_module_of_its_own_code_is_refused(model: Path) -> None:
    (model / "evil.py").write_text(f"open({str(model / 'ran')!r}, 'w')\nclass Evil: pass\n")
    modules = json.loads((model / "modules.json").read_text())
    modules[1]["type"] = "evil.Evil"
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EmbedderError, match=r"cannot be loaded \(ValueError.*use another model"):
        SentenceTransformersEmbedder(str(model)).embed(["a"])
    assert not (model / "ran").exists()


def test_a_module_outside_of_the_folder_is_refused(model: Path) -> None:
    modules = json.loads((model / "modules.json").read_text())
    modules[1]["path"] = "../elsewhere"
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EmbedderError, match="outside of its folder"):
        ids_of(model)


@pytest.mark.parametrize("damage", ["{", "{}", "[]", "[1]", None])
def test_a_folder_that_is_no_such_model_is_refused(damage: str | None, model: Path) -> None:
    if damage is None:
        (model / "modules.json").unlink()
    else:
        (model / "modules.json").write_text(damage)
    with pytest.raises(EmbedderError, match="is not a sentence-transformers model"):
        ids_of(model)


def test_damaged_weights_are_refused(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(EmbedderError, match="cannot be loaded .*restore its files, or use another model"):
        SentenceTransformersEmbedder(str(model)).embed(["a"])


def test_weights_that_are_not_finite_give_no_vectors(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(str(model / "model.safetensors"))
    weights["embeddings.word_embeddings.weight"][:] = float("nan")
    save_file(weights, str(model / "model.safetensors"), {"format": "pt"})
    with pytest.raises(EmbedderError, match="gave 2 of 2 texts a vector that is zero or not finite"):
        SentenceTransformersEmbedder(str(model)).embed(["a", "b"])


def test_a_model_of_the_hub_comes_from_its_cache_at_its_revision(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "hub"
    place = cache / f"models--{HUB.replace('/', '--')}"
    shutil.copytree(model, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(cache), raising=False)
    monkeypatch.setattr("huggingface_hub._snapshot_download.HF_HUB_CACHE", str(cache), raising=False)
    newest = SentenceTransformersEmbedder(HUB)
    assert newest.id.startswith(f"{HUB}:")
    assert newest.id == SentenceTransformersEmbedder(HUB, COMMIT).id, "the files decide, not the name of their revision"
    assert newest.embed(["a"]).shape == (1, 32)
    with pytest.raises(EmbedderError, match=f"run `hf download {HUB} --revision v2` where the hub can be reached"):
        _ = SentenceTransformersEmbedder(HUB, "v2").id


@pytest.mark.parametrize("name", ["./nothing", "/no/such/folder", "a/b/c"])
def test_a_model_that_is_nowhere_is_one_sentence(name: str) -> None:
    with pytest.raises(EmbedderError, match="is neither a folder here nor a hub id: check embedder.model"):
        _ = SentenceTransformersEmbedder(name).id


def test_the_model_without_a_limit_takes_whole_texts(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MiniLmEmbedder()._folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu").save(str(tmp_path / "static"))
    long = "the lamp in the hall " * 500
    embedder = SentenceTransformersEmbedder(str(tmp_path / "static"))
    assert not np.allclose(embedder.embed([f"cellar {long}"]), embedder.embed([f"attic {long}"]), atol=1e-7)


@pytest.mark.parametrize("mark", ["[MASK]", "[SEP]", "[PAD]", "[UNK]"])
def test_a_control_token_in_a_text_is_read_as_text(mark: str) -> None:
    embedder, asked = MiniLmEmbedder(), "turn on the lamp in the hall"
    written, broken = embedder.embed([f"{mark} " * 20 + asked, f"[ {mark[1:]} " * 20 + asked])
    np.testing.assert_allclose(written, broken, atol=1e-6)
    assert embedder.reads([f"{mark} " * 20 + asked]).all(), "nobody makes a text unreadable by them"
