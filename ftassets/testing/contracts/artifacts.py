"""What every store of artifacts must do.

A backend joins by a subclass in a file of tests:

    class TestFolder(ArtifactsContract):
        backend = "ftassets.backends.artifacts.folder:FolderArtifacts"

        @pytest.fixture
        def place(self, tmp_path: Path) -> str:
            return str(tmp_path / "home")

`backend` names a callable that opens the store at a place, a text; so that processes of their own can open it too.
"""

import hashlib
import os
import pkgutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.backends.artifacts.base import ArtifactConflict, ArtifactMissing, Artifacts
from ftassets.errors import InvalidInput
from ftassets.testing.contracts.unsafe_keys import UNSAFE

KEY = "reports/support/eval-1f3a.json"
LAST = "manifest.json"
PART = 1_000_000  # bytes of each file that the writer to be killed writes


def opened(backend: str, place: str) -> Artifacts:
    """The store of a backend at a place."""
    return pkgutil.resolve_name(backend)(place)


def write_until_killed(backend: str, place: str, work: str) -> None:
    """Store files and folders that carry their own digest, without end; says when the first are there."""
    artifacts, number = opened(backend, place), 0
    while True:
        content = os.urandom(PART)
        digest = hashlib.sha256(content).hexdigest()
        artifacts.put(f"files/{digest}", content)
        folder = Path(work) / str(number)
        (folder / "merged").mkdir(parents=True)
        (folder / "merged" / "weights").write_bytes(content)
        (folder / LAST).write_text(digest)
        artifacts.put_folder(f"folders/{digest}", folder, LAST)
        number += 1
        if number == 3:
            print("ready", flush=True)


class ArtifactsContract:
    """Subclass it, name the backend, and give the fixture `place`."""

    backend: str

    @pytest.fixture
    def place(self) -> str:
        """Location of a new store, in the backend's notation."""
        raise NotImplementedError("give a fixture `place`")

    @pytest.fixture
    def artifacts(self, place: str) -> Artifacts:
        return opened(self.backend, place)

    def test_what_was_stored_comes_back(self, artifacts: Artifacts, place: str) -> None:
        for content in (b"", b"\x00\xff" * 1000):
            key = f"answers/{len(content)}.parquet"
            assert not artifacts.exists(key)
            artifacts.put(key, content)
            assert artifacts.exists(key)
            assert artifacts.get(key) == content
            assert artifacts.local(key).read_bytes() == content
            assert opened(self.backend, place).get(key) == content

    def test_what_is_not_there_is_said(self, artifacts: Artifacts) -> None:
        artifacts.put("reports/support/other.json", b"{}")
        for key in (KEY, "reports/nobody/x", "reports/support/other.json/below", "versions/abc"):
            assert not artifacts.exists(key)
            with pytest.raises(ArtifactMissing):
                artifacts.get(key)
            with pytest.raises(ArtifactMissing):
                artifacts.local(key)
        with pytest.raises(ArtifactMissing):
            artifacts.get("reports/support")  # a folder has no content
        assert artifacts.names("reports/nobody") == []

    def test_a_file_is_written_once(self, artifacts: Artifacts) -> None:
        artifacts.put(KEY, b"first")
        artifacts.put(KEY, b"first")
        with pytest.raises(ArtifactConflict):
            artifacts.put(KEY, b"second")
        assert artifacts.get(KEY) == b"first"
        assert artifacts.names("reports/support") == ["eval-1f3a.json"]

    def test_of_writers_at_once_one_wins_and_the_others_know(self, artifacts: Artifacts) -> None:
        def write(number: int) -> bool:
            try:
                artifacts.put(KEY, b"%d" % number * 1000)
            except ArtifactConflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = [number for number, done in enumerate(pool.map(write, range(32))) if done]
        assert len(won) == 1
        assert artifacts.get(KEY) == b"%d" % won[0] * 1000

    def test_writers_of_the_same_all_succeed(self, artifacts: Artifacts) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: artifacts.put(KEY, b"same" * 1000), range(32)))
        assert artifacts.get(KEY) == b"same" * 1000

    def test_a_finished_file_is_taken_in_and_the_first_is_kept(self, artifacts: Artifacts, tmp_path: Path) -> None:
        for content in (b"first", b"second"):
            source = tmp_path / "made.parquet"
            source.write_bytes(content)
            artifacts.put_file("answers/k.parquet", source)
            assert not source.exists()
        assert artifacts.get("answers/k.parquet") == b"first"

    def test_a_file_may_be_made_at_its_draft(self, artifacts: Artifacts, place: str) -> None:
        draft = artifacts.draft("answers/k.parquet")
        assert draft == opened(self.backend, place).draft("answers/k.parquet"), "after a crash, work resumes where it was"
        draft.with_name("k.parquet.partial").write_bytes(b"half")
        assert not artifacts.exists("answers/k.parquet")
        draft.write_bytes(b"whole")
        for _ in range(2):
            artifacts.put_file("answers/k.parquet", draft)
            assert artifacts.get("answers/k.parquet") == b"whole"

    def test_a_file_does_not_take_the_place_of_a_folder(self, artifacts: Artifacts, tmp_path: Path) -> None:
        artifacts.put("reports/support/a", b"x")
        source = tmp_path / "made"
        source.write_bytes(b"x")
        for key in ("reports/support", "reports/support/a/below"):
            with pytest.raises(ArtifactConflict, match="in the way"):
                artifacts.put(key, b"x")
            with pytest.raises(ArtifactConflict, match="in the way"):
                artifacts.put_file(key, source)
        assert source.read_bytes() == b"x"
        assert artifacts.get("reports/support/a") == b"x"

    def test_a_folder_is_taken_in_whole_and_the_first_is_kept(self, artifacts: Artifacts, tmp_path: Path) -> None:
        for content in ("first", "second"):
            source = self.folder(tmp_path / "staging", content)
            artifacts.put_folder("versions/abc", source, LAST)
            assert not source.exists()
        assert artifacts.get("versions/abc/merged/weights") == b"first"
        assert artifacts.exists("versions/abc")
        assert artifacts.exists(f"versions/abc/{LAST}")
        local = artifacts.local("versions/abc")
        assert sorted(path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()) == [LAST, "merged/weights"]
        assert artifacts.names("versions") == ["abc"]

    def test_a_folder_may_be_made_at_its_draft(self, artifacts: Artifacts) -> None:
        draft = self.folder(artifacts.draft("versions") / "abc", "made here")
        for _ in range(2):
            artifacts.put_folder("versions/abc", draft, LAST)
            assert artifacts.get("versions/abc/merged/weights") == b"made here"

    def test_of_folders_at_once_one_is_kept_whole(self, artifacts: Artifacts, tmp_path: Path) -> None:
        folders = [self.folder(tmp_path / str(number), str(number)) for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda source: artifacts.put_folder("versions/abc", source, LAST), folders))
        assert artifacts.get("versions/abc/merged/weights") == artifacts.get(f"versions/abc/{LAST}")
        assert not any(source.exists() for source in folders)

    def test_names_come_newest_first_and_one_level_deep(self, artifacts: Artifacts, tmp_path: Path) -> None:
        for name in ("b.json", "a.json", "c.json"):
            artifacts.put(f"reports/support/{name}", b"{}")
            time.sleep(0.02)
        artifacts.put("reports/other/d.json", b"{}")
        assert artifacts.names("reports/support") == ["c.json", "a.json", "b.json"]
        assert sorted(artifacts.names("reports")) == ["other", "support"]

    @pytest.mark.parametrize("key", UNSAFE)
    def test_a_name_that_leads_elsewhere_is_refused(self, artifacts: Artifacts, tmp_path: Path, key: str) -> None:
        source = self.folder(tmp_path / "staging", "x")
        for act in (
            lambda: artifacts.put(key, b"x"),
            lambda: artifacts.put_file(key, source / LAST),
            lambda: artifacts.put_folder(key, source, LAST),
            lambda: artifacts.get(key),
            lambda: artifacts.exists(key),
            lambda: artifacts.names(key),
            lambda: artifacts.local(key),
            lambda: artifacts.draft(key),
            lambda: artifacts.uri(key),
        ):
            with pytest.raises(InvalidInput, match="cannot be the name"):
                act()
        assert (source / LAST).exists()

    def test_the_longest_name_works(self, artifacts: Artifacts, tmp_path: Path) -> None:
        folder, file = "f" * 199, "x" * 200
        artifacts.put(f"{folder}/{file}", b"x")
        assert artifacts.get(f"{folder}/{file}") == b"x"
        assert artifacts.names(folder) == [file]
        artifacts.put_folder("v" * 200, self.folder(tmp_path / "staging", "x"), LAST)
        assert artifacts.get(f"{'v' * 200}/{LAST}") == b"x"

    def test_a_file_that_somebody_wants_forgotten_is_gone_and_others_stay(self, artifacts: Artifacts) -> None:
        artifacts.put("answers/a", b"secret")
        artifacts.put("answers/b", b"x")
        for _ in range(2):
            artifacts.remove("answers/a")
            assert artifacts.names("answers") == ["b"]
        artifacts.remove("nowhere/a")
        artifacts.put("answers/a", b"another")
        assert artifacts.get("answers/a") == b"another"

    def test_a_person_is_told_where_it_is(self, artifacts: Artifacts) -> None:
        assert artifacts.uri(KEY).endswith(KEY)

    def test_what_a_killed_writer_leaves_is_whole_or_not_there(self, artifacts: Artifacts, place: str, tmp_path: Path) -> None:
        program = "import sys; from ftassets.testing.contracts.artifacts import write_until_killed; write_until_killed(*sys.argv[1:])"
        for attempt in range(3):
            arguments = [self.backend, place, str(tmp_path / f"work{attempt}")]
            writer = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
            try:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"ready\n"
                time.sleep(0.013 * attempt)
            finally:
                writer.send_signal(signal.SIGKILL)
                writer.communicate()
        files, folders = artifacts.names("files"), artifacts.names("folders")
        assert min(len(files), len(folders)) >= 9
        for name in files:
            assert hashlib.sha256(artifacts.get(f"files/{name}")).hexdigest() == name
        for name in folders:
            assert artifacts.get(f"folders/{name}/{LAST}").decode() == name
            assert hashlib.sha256(artifacts.get(f"folders/{name}/merged/weights")).hexdigest() == name

    def folder(self, path: Path, content: str) -> Path:
        """A finished folder with one large and one last file."""
        (path / "merged").mkdir(parents=True)
        (path / "merged" / "weights").write_text(content)
        (path / LAST).write_text(content)
        return path
