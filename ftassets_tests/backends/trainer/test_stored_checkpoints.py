import shutil
from pathlib import Path

import pytest

from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.trainer.checkpoints import complete, key_of
from ftassets.backends.trainer.stored_checkpoints import (
    forget_checkpoints,
    newest_anywhere,
    reached_step,
    store_checkpoint,
    stored_key,
)

KEY, OTHER = key_of({"rows": "a"}), key_of({"rows": "b"})
LOOP = "support"


@pytest.fixture
def store(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "home")


def written(checkpoints: Path, step: int, key: str = KEY) -> Path:
    folder = checkpoints / f"checkpoint-{step}"
    (folder / "replica-0").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (folder / "tokenizer.json").write_bytes(b"{}")
    (folder / "replica-0" / "rng_state.pth").write_bytes(b"random %d" % step)
    complete(folder, key, step, {"losses": [3.0] * step})
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_machine_takes_up_the_newest_checkpoint_whole(tmp_path, store):
    folder = written(tmp_path / "here", 4)
    before = content(folder)
    store_checkpoint(store, LOOP, folder)
    assert content(folder) == before, "storing it leaves it as it was"
    found = newest_anywhere(store, LOOP, KEY, tmp_path / "there")
    assert found is not None
    assert (found.step, found.progress) == (4, {"losses": [3.0] * 4})
    assert content(found.folder) == before
    assert newest_anywhere(store, "another", KEY, tmp_path / "elsewhere") is None
    assert newest_anywhere(store, LOOP, OTHER, tmp_path / "other") is None


def test_the_one_before_goes_and_what_both_have_is_stored_once(tmp_path, store):
    for step in (4, 8):
        store_checkpoint(store, LOOP, written(tmp_path / "here", step))
    names = store.names(f"checkpoints/{LOOP}")
    assert len(names) == 4, "three files and their list"
    assert reached_step(store, LOOP, tmp_path / "there") == 8
    forget_checkpoints(store, LOOP)
    assert store.names(f"checkpoints/{LOOP}") == []
    assert newest_anywhere(store, LOOP, KEY, tmp_path / "there") is None
    assert reached_step(store, LOOP, tmp_path / "there") == 0
    assert reached_step(store, LOOP, tmp_path / "here") == 8


def test_the_further_of_here_and_there_is_taken(tmp_path, store):
    store_checkpoint(store, LOOP, written(tmp_path / "here", 4))
    written(tmp_path / "there", 6)
    assert newest_anywhere(store, LOOP, KEY, tmp_path / "there").step == 6
    written(tmp_path / "behind", 2)
    assert newest_anywhere(store, LOOP, KEY, tmp_path / "behind").step == 4


def test_a_half_stored_one_is_never_taken(tmp_path, store, monkeypatch):
    store_checkpoint(store, LOOP, written(tmp_path / "here", 4))

    def ends(*_: object) -> None:
        raise OSError("the machine is gone")

    for step, files in ((8, 0), (9, 1), (10, 9)):
        calls = iter([store.put_file] * files)
        monkeypatch.setattr(store, "put_file", lambda key, source, calls=calls: next(calls, ends)(key, source))
        monkeypatch.setattr(store, "put", ends)
        folder = written(tmp_path / f"at{step}", step)
        with pytest.raises(OSError, match="gone"):
            store_checkpoint(store, LOOP, folder)
        monkeypatch.undo()
        assert reached_step(store, LOOP, tmp_path / "none") == 4
        assert newest_anywhere(store, LOOP, KEY, tmp_path / f"there{step}").step == 4
    store_checkpoint(store, LOOP, written(tmp_path / "here", 12))
    assert len(store.names(f"checkpoints/{LOOP}")) == 4, "what was left of the others is gone"


@pytest.mark.parametrize("damage", ["file changed", "file gone", "list changed", "a way out"])
def test_one_whose_bytes_are_not_as_written_is_passed_over(tmp_path, store, damage):
    folder = written(tmp_path / "here", 4)
    store_checkpoint(store, LOOP, folder)
    listed = next(name for name in store.names(f"checkpoints/{LOOP}") if name.endswith(".json"))
    lists, file = (
        store.local(stored_key(LOOP, name))
        for name in (listed, next(name for name in store.names(f"checkpoints/{LOOP}") if name != listed))
    )
    if damage == "file changed":
        file.unlink()
        file.write_bytes(b"something else")
    elif damage == "file gone":
        file.unlink()
    elif damage == "list changed":
        lists.write_bytes(lists.read_bytes().replace(b'"step": 4', b'"step": 5'))
    else:
        import hashlib

        text = lists.read_bytes().replace(b"tokenizer.json", b"../../../out.json")
        lists.unlink()
        store.put(stored_key(LOOP, f"000000004-{KEY[:16]}-{hashlib.sha256(text).hexdigest()}.json"), text)
    assert newest_anywhere(store, LOOP, KEY, tmp_path / "a" / "b" / "there") is None
    assert not list(tmp_path.rglob("out.json"))
    shutil.rmtree(folder)
    written(tmp_path / "a" / "b" / "there", 2)
    assert newest_anywhere(store, LOOP, KEY, tmp_path / "a" / "b" / "there").step == 2


def test_a_kill_while_a_checkpoint_is_stored_leaves_nothing_in_it(tmp_path, store, monkeypatch):
    folder, seen = written(tmp_path / "here", 4), []
    before, put = sorted(folder.rglob("*")), store.put_file

    def watched(key: str, path: Path) -> None:
        seen.append(sorted(folder.rglob("*")))
        put(key, path)

    monkeypatch.setattr(store, "put_file", watched)
    left = tmp_path / "here" / ".store-killed"
    left.mkdir()
    store_checkpoint(store, LOOP, folder)
    assert seen == [before] * 3, "whoever goes on from a checkpoint takes each folder in it for an adapter"
    assert not left.exists(), "of a process that was killed"
