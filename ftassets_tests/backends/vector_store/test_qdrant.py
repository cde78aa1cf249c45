"""Qdrant in a folder and on a server: turns of processes, half-made collections, and servers that do not answer."""

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from ftassets.backends.vector_store import qdrant as embedded
from ftassets.backends.vector_store.qdrant import QdrantServerVectorStore, QdrantVectorStore, StoreBusy, StoreUnreachable
from ftassets.testing.contracts.vector_store import ids, point


@pytest.mark.parametrize("server", [False, True])
def test_more_points_than_one_request_and_one_answer_hold(server: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = QdrantServerVectorStore(":memory:") if server else QdrantVectorStore(tmp_path)
    monkeypatch.setattr(embedded, "_BATCH", 3)
    monkeypatch.setattr(embedded, "_PAGE", 4)
    store.add("voice", "e", [point(n) for n in range(10)])
    assert ids(store.window("voice", "e", 1, 10, 20)) == [f"req-{n}" for n in range(1, 10)]
    monkeypatch.setattr(embedded, "_TURN", 3)
    store.thin("voice", "e", 0.0)
    assert store.count("voice", "e") == 0, "in several turns"


ADDER = """
import sys
from pathlib import Path
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.testing.contracts.vector_store import point
for n in range(5):
    QdrantVectorStore(Path(sys.argv[1])).add("voice", "e", [point(int(sys.argv[2]) * 5 + n)])
"""


def test_processes_take_turns(tmp_path: Path) -> None:
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(tmp_path / "vectors"), str(n)]) for n in range(2)]
    assert [adder.wait(timeout=60) for adder in adders] == [0, 0]
    assert QdrantVectorStore(tmp_path / "vectors").count("voice", "e") == 10


def test_says_what_holds_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.2)
    store = QdrantVectorStore(tmp_path)
    with FileLock(tmp_path / "voice.lock"), pytest.raises(StoreBusy, match="another process has had the vectors of voice open"):
        store.count("voice", "e")


def test_half_made_collection_is_made_again(tmp_path: Path) -> None:
    partial = tmp_path / f"voice.{embedded._digest('e')}.partial"
    partial.mkdir()
    (partial / "meta.json").write_text('{"collec')
    store = QdrantVectorStore(tmp_path)
    store.add("voice", "e", [point(1)])
    assert store.count("voice", "e") == 1
    assert not partial.exists()


def test_what_a_kill_left_of_a_deleted_collection_is_removed(tmp_path: Path) -> None:
    store = QdrantVectorStore(tmp_path)
    store.add("voice", "e", [point(1)])
    store.add("voice2", "e", [point(1)])
    store._delete(store._names("voice")["e"])
    store._delete(store._names("voice2")["e"])
    assert (store.embedders("voice"), store.count("voice", "e")) == ([], 0)
    store.remove("voice", ["req-1"])  # who asks to be forgotten is not kept in leftovers
    assert [path.name for path in tmp_path.glob("*.partial")] == [f"voice2.{embedded._digest('e')}.partial"]


def test_a_collection_named_after_its_loop_alone_is_found(tmp_path: Path) -> None:
    store = QdrantVectorStore(tmp_path)
    store.add("voice", "e", [point(1)])
    (tmp_path / store._names("voice")["e"]).rename(tmp_path / "voice")
    assert store.embedders("voice") == ["e"]
    store.add("voice", "e", [point(2)])
    store.add("voice", "f", [point(3)])
    assert (ids(store.window("voice", "e", 0, 9, 9)), ids(store.window("voice", "f", 0, 9, 9))) == (["req-1", "req-2"], ["req-3"])
    store.drop("voice", "e")
    assert store.embedders("voice") == ["f"]


def test_a_servers_collection_named_after_its_loop_alone_is_found() -> None:
    from qdrant_client import models

    store = QdrantServerVectorStore(":memory:")
    store._connection.create_collection(
        "ftassets-voice", models.VectorParams(size=8, distance=models.Distance.DOT), metadata={"embedder": "e"}
    )
    store.add("voice", "e", [point(1)])
    assert (store.embedders("voice"), ids(store.window("voice", "e", 0, 9, 9))) == (["e"], ["req-1"])
    assert store.check() == "1 collections at :memory:"


def test_server_collection_half_made_is_finished() -> None:
    store = QdrantServerVectorStore(":memory:")
    from qdrant_client import models

    name = f"ftassets-voice-{embedded._digest('e')}"
    store._connection.create_collection(name, models.VectorParams(size=8, distance=models.Distance.DOT))
    assert (store.count("voice", "e"), store.embedders("voice")) == (0, [])
    store.add("voice", "e", [point(1)])
    assert (store.count("voice", "e"), store.check()) == (1, "1 collections at :memory:")


def test_server_that_is_not_there_is_named() -> None:
    store = QdrantServerVectorStore("http://127.0.0.1:9")
    calls: list[Callable[[], object]] = [store.check, lambda: store.count("voice", "e"), lambda: store.add("voice", "e", [point(1)])]
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
        QdrantServerVectorStore(locked_server, key).count("voice", "e")
    assert "s3cr3t" not in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize("url", ["qdrant:6333", "ftp://x", "https://user:s3cr3t@qdrant.example.com"])
def test_server_url_has_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="QDRANT_URL") as refused:
        QdrantServerVectorStore(url)
    assert "s3cr3t" not in str(refused.value)


class WebPage(BaseHTTPRequestHandler):
    """A web server where Qdrant is expected."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_at_the_url_is_told(status: int) -> None:
    handler = type("Handler", (WebPage,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        # Only what the store itself warns of: the collector may run here and find what tests before left open.
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(StoreUnreachable, match=f"{url}.*: see that .*QDRANT_URL is right"):
                QdrantServerVectorStore(url, "s3cr3t").check()
        server.shutdown()
    assert [warning for warning in warned if not issubclass(warning.category, ResourceWarning)] == []
