import subprocess
import sys

from ftassets.testing.hash_embedder import HashEmbedder


def test_hash_embedder_is_the_same_in_every_process() -> None:
    code = "from ftassets.testing.hash_embedder import HashEmbedder; print(HashEmbedder().embed(['lights on'])[0].tobytes().hex())"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert output == HashEmbedder().embed(["lights on"])[0].tobytes().hex()
