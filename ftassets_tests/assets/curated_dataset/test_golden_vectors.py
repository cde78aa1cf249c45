"""Golden rows are embedded once for each state of the golden set and embedder, whatever is curated."""

from pathlib import Path

import numpy as np
import pytest

from ftassets.assets.curated_dataset.golden_vectors import golden_vectors
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.domain.dataset.rows import parse_jsonl
from ftassets.testing.hash_embedder import CountingEmbedder, HashEmbedder
from ftassets.testing.tiny_loop import rows, tiny_loop

TEXTS = [f"dim lamp {number}" for number in range(5)]
GOLDEN = [(f"g{number}", text) for number, text in enumerate(TEXTS)]


def test_the_same_rows_are_embedded_once(tmp_path: Path) -> None:
    artifacts, embedder = FolderArtifacts(tmp_path), CountingEmbedder()
    first = golden_vectors(artifacts, embedder, embedder.id, GOLDEN)
    assert np.array_equal(golden_vectors(artifacts, embedder, embedder.id, GOLDEN), first)
    assert np.array_equal(first, HashEmbedder().embed(TEXTS))
    assert embedder.asked == TEXTS


def test_other_rows_another_order_and_another_embedder_are_embedded(tmp_path: Path) -> None:
    artifacts, embedder, other = FolderArtifacts(tmp_path), CountingEmbedder(), CountingEmbedder(32)
    golden_vectors(artifacts, embedder, embedder.id, GOLDEN)
    assert np.array_equal(golden_vectors(artifacts, embedder, embedder.id, GOLDEN[::-1]), HashEmbedder().embed(TEXTS[::-1]))
    assert golden_vectors(artifacts, embedder, embedder.id, GOLDEN[:3]).shape == (3, 64)
    assert golden_vectors(artifacts, other, other.id, GOLDEN).shape == (5, 32)
    assert (len(embedder.asked), len(other.asked)) == (13, 5)


@pytest.mark.parametrize("damage", ["cut", "flipped", "another file"])
def test_a_damaged_file_is_not_used(tmp_path: Path, damage: str) -> None:
    artifacts, embedder = FolderArtifacts(tmp_path), CountingEmbedder()
    first = golden_vectors(artifacts, embedder, embedder.id, GOLDEN)
    [path] = (tmp_path / "golden_vectors").iterdir()
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes({"cut": bytes(content[:100]), "flipped": bytes(content), "another file": b"vectors"}[damage])
    assert np.array_equal(golden_vectors(artifacts, embedder, embedder.id, GOLDEN), first)
    assert len(embedder.asked) == 10
    path.unlink()
    for _ in range(2):
        assert np.array_equal(golden_vectors(artifacts, embedder, embedder.id, GOLDEN), first)
    assert len(embedder.asked) == 15


def test_a_new_dataset_embeds_no_golden_row_again(tmp_path: Path) -> None:
    with tiny_loop(tmp_path) as tiny:
        embedder = CountingEmbedder()
        tiny.resources["embedder_of"] = lambda settings: embedder
        golden = {row.prompt for row in parse_jsonl(tiny.loop.golden_set.read_text(), "golden")[0]}
        result = tiny.materialize("seed_examples", "golden_set", "curated_dataset")
        assert result.success
        assert golden <= set(embedder.asked)
        embedder.asked.clear()

        with tiny.loop.dataset.seed.open("a") as seed:
            seed.write(rows(("shut",), "please"))
        assert tiny.materialize("seed_examples", "curated_dataset").success
        assert any("shut the" in text for text in embedder.asked)
        assert not golden & set(embedder.asked)
