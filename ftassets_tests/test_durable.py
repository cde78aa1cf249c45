"""Secrets and durable files."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.durable import create_durably, disk_is_full, file_digest, keep_file, prove_writable, secret, write_durably


def test_secret_is_private_and_the_same_for_all_who_ask_at_once(tmp_path):
    path = tmp_path / "keys" / "token"
    with ThreadPoolExecutor(8) as pool:
        given = set(pool.map(lambda _: secret(path), range(32)))
    assert len(given) == 1
    assert len(given.pop()) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state"
    write_durably(path, b"old")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
def test_file_digest(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert file_digest(path) == hashlib.sha256(b"x" * size).hexdigest()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is not another file system here")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_taken_from_another_file_system(tmp_path: Path, elsewhere: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr("os.link", no_links)
    source, target = elsewhere / "made", tmp_path / "kept" / "x"
    for content, first in ((b"first", True), (b"second", False)):
        source.write_bytes(content)
        source.chmod(0o640)
        assert keep_file(source, target) is first
        assert not source.exists()
    assert (target.read_bytes(), target.stat().st_mode & 0o777, os.listdir(target.parent)) == (b"first", 0o640, ["x"])


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.link", no_links)
    path = tmp_path / "x"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: create_durably(path, b"%d" % number), range(32)))
        assert len(set(pool.map(lambda _: secret(tmp_path / "token"), range(32)))) == 1
    assert path.read_bytes() == b"%d" % made.index(True)
    assert (made.count(True), sorted(os.listdir(tmp_path))) == (1, ["token", "x"])
    source = tmp_path / "made"
    source.write_bytes(b"x")
    assert keep_file(source, tmp_path / "y")
    assert not source.exists()


@pytest.mark.parametrize("kind", ["folder", "dangling link", "link to itself"])
@pytest.mark.parametrize("links", [True, False])
def test_what_cannot_be_stored_is_not_lost(tmp_path: Path, kind: str, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "made", tmp_path / "kept"
    source.write_bytes(b"x")
    if kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere" if kind == "dangling link" else target)
    if not links:
        monkeypatch.setattr("os.link", no_links)
    for store in (lambda: keep_file(source, target), lambda: create_durably(target, b"x")):
        with pytest.raises(FileExistsError, match="not a file"):
            store()
    assert source.read_bytes() == b"x"
    assert sorted(os.listdir(tmp_path)) == ["kept", "made"]


def test_a_failed_move_keeps_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "made"
    source.write_bytes(b"x")
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        keep_file(source, tmp_path / "kept")
    assert os.listdir(tmp_path) == ["made"]


def test_a_folder_is_proved_writable_also_before_it_is_made_and_keeps_nothing(tmp_path: Path) -> None:
    prove_writable(tmp_path / "home" / "deep")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_a_file_can_be_made_but_not_written_is_not_writable(tmp_path: Path) -> None:
    code = (
        "import resource, sys, pathlib; from ftassets.durable import prove_writable;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)); prove_writable(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EACCES, "x"), False),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("shape mismatch"), False),
        (None, False),
    ],
)
def test_a_full_disk_is_known_by_its_number_or_a_library_s_words(error: Exception | None, full: bool) -> None:
    assert disk_is_full(error) is full
    outer = RuntimeError("writing failed")
    outer.__cause__ = error
    assert disk_is_full(outer) is full
