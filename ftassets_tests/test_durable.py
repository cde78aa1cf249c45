"""Secrets and durable files."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.durable import file_digest, secret, write_durably


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
