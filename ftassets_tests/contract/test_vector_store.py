"""What every vector store must do; another backend joins by a line in BACKENDS."""

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from ftassets.backends.vector_store import qdrant as embedded
from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.backends.vector_store.qdrant import QdrantServerVectorStore, QdrantVectorStore, StoreBusy, StoreUnreachable

MakeStore = Callable[[Path], VectorStore]
BACKENDS: dict[str, MakeStore] = {
    "embedded": lambda folder: QdrantVectorStore(folder / "vectors"),
    "memory": cache(lambda folder: QdrantServerVectorStore(":memory:")),  # the server's code over the client's own engine
}
if "QDRANT_TEST_URL" in os.environ:
    url, key, run = os.environ["QDRANT_TEST_URL"], os.environ.get("QDRANT_TEST_API_KEY"), uuid.uuid4().hex
    BACKENDS["server"] = lambda folder: QdrantServerVectorStore(url, key, f"test-{run}-{folder.name}")


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest) -> MakeStore:
    return BACKENDS[request.param]


@pytest.fixture
def store(make: MakeStore, tmp_path: Path) -> VectorStore:
    return make(tmp_path)


def point(number: int, at: float | None = None) -> QueryVector:
    vector = np.random.default_rng(number).normal(size=8).astype(np.float32)
    return QueryVector(f"req-{number}", float(number) if at is None else at, "v1", f"text \u00e9 {number}", vector / np.linalg.norm(vector))


def ids(points: list[QueryVector]) -> list[str]:
    return [p.request_id for p in points]


def test_an_empty_store_answers(store: VectorStore) -> None:
    store.add("voice", "e", [])
    store.remove("voice", ["req-1"])
    assert (store.window("voice", 0, 9, 5), store.count("voice"), store.watermark("voice")) == ([], 0, 0.0)


def test_points_come_back_as_they_went_in(make: MakeStore, tmp_path: Path) -> None:
    stored = replace(point(1), at=1_795_308_147.123456)
    make(tmp_path).add("voice", "e", [stored])
    (found,) = make(tmp_path).window("voice", 0, float("inf"), 5)
    np.testing.assert_array_equal(found.vector, stored.vector)
    assert (found.vector.dtype, found.vector.shape) == (np.float32, (8,))
    assert replace(found, vector=stored.vector) == stored


def test_adding_again_replaces(store: VectorStore) -> None:
    store.add("voice", "e", [point(1), point(2)])
    store.add("voice", "e", [replace(point(1), version="v2"), point(3)])
    assert store.count("voice") == 3
    assert [p.version for p in store.window("voice", 0, 9, 9)] == ["v2", "v1", "v1"]


def test_windows_are_half_open_and_ordered_by_time(store: VectorStore) -> None:
    store.add("voice", "e", [point(n) for n in (4, 2, 3, 1)])
    assert ids(store.window("voice", 2, 4, 10)) == ["req-2", "req-3"]
    assert store.window("voice", 5, 9, 10) == []
    assert (store.count("voice", 2, 4), store.count("voice", since=3), store.count("voice")) == (2, 2, 4)


def test_points_are_found_by_their_requests(store: VectorStore) -> None:
    assert store.find("voice", ["req-1"]) == []
    store.add("voice", "e", [point(n) for n in (3, 1, 2)])
    assert ids(store.find("voice", ["req-3", "nobody", "req-1"])) == ["req-1", "req-3"]
    assert store.find("voice", []) == []


def test_a_sample_is_random_without_replacement_and_repeats_with_its_seed(store: VectorStore) -> None:
    store.add("voice", "e", [point(n) for n in range(40)])
    first = ids(store.window("voice", 0, 40, 15, seed=1))
    assert len(set(first)) == 15
    assert first == ids(store.window("voice", 0, 40, 15, seed=1))
    assert first != ids(store.window("voice", 0, 40, 15, seed=2))
    assert [int(i.removeprefix("req-")) for i in first] == sorted(int(i.removeprefix("req-")) for i in first)
    seen = {i for seed in range(12) for i in ids(store.window("voice", 0, 40, 15, seed=seed))}
    assert len(seen) > 35  # every part of the window is drawn from


def test_a_sample_does_not_depend_on_the_order_of_adding(make: MakeStore, tmp_path: Path) -> None:
    points = [point(n) for n in range(20)]
    one, other = make(tmp_path / "one"), make(tmp_path / "other")
    one.add("voice", "e", points)
    other.add("voice", "e", points[::-1])
    assert ids(one.window("voice", 0, 20, 5)) == ids(other.window("voice", 0, 20, 5))


def test_watermark_is_the_newest_time(store: VectorStore) -> None:
    store.add("voice", "e", [point(1, at=30.5), point(2, at=20.0)])
    assert store.watermark("voice") == 30.5
    store.remove("voice", ["req-1"])
    assert store.watermark("voice") == 20.0


def test_removed_points_are_gone(make: MakeStore, tmp_path: Path) -> None:
    store = make(tmp_path)
    store.add("voice", "e", [point(1), point(2)])
    store.remove("voice", ["req-1", "nobody"])
    assert ids(make(tmp_path).window("voice", 0, 9, 9)) == ["req-2"]
    store.remove("voice", [])
    assert store.count("voice") == 1


def test_loops_are_apart(store: VectorStore) -> None:
    store.add("voice", "e", [point(1)])
    store.add("triage", "other", [replace(point(2), vector=np.ones(3, dtype=np.float32))])
    assert (store.count("voice"), store.count("triage"), store.watermark("triage")) == (1, 1, 2.0)


def test_vectors_of_another_embedder_are_refused(store: VectorStore) -> None:
    store.add("voice", "minilm:1", [point(1)])
    with pytest.raises(ValueError, match="minilm:1.*minilm:2"):
        store.add("voice", "minilm:2", [point(2)])
    assert ids(store.window("voice", 0, 9, 9)) == ["req-1"]


def test_more_points_than_one_request_and_one_answer_hold(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_BATCH", 3)
    monkeypatch.setattr(embedded, "_PAGE", 4)
    store.add("voice", "e", [point(n) for n in range(10)])
    assert ids(store.window("voice", 1, 10, 20)) == [f"req-{n}" for n in range(1, 10)]


ADDER = """
import sys
from pathlib import Path
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets_tests.contract.test_vector_store import point
for n in range(5):
    QdrantVectorStore(Path(sys.argv[1])).add("voice", "e", [point(int(sys.argv[2]) * 5 + n)])
"""


def test_embedded_processes_take_turns(tmp_path: Path) -> None:
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(tmp_path / "vectors"), str(n)]) for n in range(2)]
    assert [adder.wait(timeout=60) for adder in adders] == [0, 0]
    assert QdrantVectorStore(tmp_path / "vectors").count("voice") == 10


def test_embedded_says_what_holds_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.2)
    store = QdrantVectorStore(tmp_path)
    with FileLock(tmp_path / "voice.lock"), pytest.raises(StoreBusy, match="another process has had the vectors of voice open"):
        store.count("voice")


def test_embedded_half_made_collection_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "voice.partial").mkdir()
    (tmp_path / "voice.partial" / "meta.json").write_text('{"collec')
    store = QdrantVectorStore(tmp_path)
    store.add("voice", "e", [point(1)])
    assert store.count("voice") == 1


def test_server_collection_half_made_is_finished() -> None:
    store = QdrantServerVectorStore(":memory:")
    from qdrant_client import models

    store._connection.create_collection("ftassets-voice", models.VectorParams(size=8, distance=models.Distance.DOT))
    assert (store.count("voice"), store.watermark("voice")) == (0, 0.0)
    store.add("voice", "e", [point(1)])
    with pytest.raises(ValueError, match="by e, these by f.*Remove collection ftassets-voice at"):
        store.add("voice", "f", [point(2)])
    assert store.check() == "1 collections at :memory:"


def test_server_that_is_not_there_is_named() -> None:
    store = QdrantServerVectorStore("http://127.0.0.1:9")
    calls: list[Callable[[], object]] = [store.check, lambda: store.count("voice"), lambda: store.add("voice", "e", [point(1)])]
    for call in calls:
        with pytest.raises(StoreUnreachable, match="127.0.0.1:9.*QDRANT_URL"):
            call()


@pytest.fixture
def locked_server() -> Iterator[str]:
    """A server that takes no key."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401 if self.headers.get("api-key") else 403)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.parametrize("key", [None, "s3cr3t"])
def test_server_that_refuses_the_key_is_told_apart(locked_server: str, key: str | None) -> None:
    with pytest.raises(StoreUnreachable, match="QDRANT_API_KEY") as refused:
        QdrantServerVectorStore(locked_server, key).watermark("voice")
    assert "s3cr3t" not in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize("url", ["qdrant:6333", "ftp://x", "https://user:s3cr3t@qdrant.example.com"])
def test_server_url_has_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="QDRANT_URL") as refused:
        QdrantServerVectorStore(url)
    assert "s3cr3t" not in str(refused.value)
