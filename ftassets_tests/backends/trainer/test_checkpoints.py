import shutil
from pathlib import Path

from ftassets.backends.trainer.checkpoints import complete, key_of, newest, newest_step

KEY = key_of({"rows": "a"})


def written(checkpoints: Path, step: int) -> Path:
    folder = checkpoints / f"checkpoint-{step}"
    (folder / "replica-0").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "replica-0" / "rng_state.pth").write_bytes(b"random")
    return folder


def test_the_newest_whole_checkpoint_of_the_same_training_is_found(tmp_path):
    assert newest(tmp_path / "none", KEY) is None
    assert newest_step(tmp_path / "none") == 0
    complete(written(tmp_path, 9), KEY, 9, {"losses": [3.0]})
    complete(written(tmp_path, 10), KEY, 10, {"losses": [3.0, 2.0]})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]  # the one before is of no more use
    half = written(tmp_path, 11)
    assert newest_step(tmp_path) == 10
    found = newest(tmp_path, KEY)
    assert found is not None
    assert (found.step, found.progress, found.folder.name) == (10, {"losses": [3.0, 2.0]}, "checkpoint-10")
    assert not half.exists()


def test_one_of_another_training_is_removed(tmp_path):
    complete(written(tmp_path, 3), KEY, 3, {})
    assert newest(tmp_path, key_of({"rows": "b"})) is None
    assert not list(tmp_path.iterdir())


def test_a_damaged_one_is_not_used(tmp_path):
    damages = (
        lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"weightz"),
        lambda folder: (folder / "replica-0" / "rng_state.pth").unlink(),
        lambda folder: shutil.rmtree(folder / "replica-0"),
        lambda folder: (folder / "complete.json").write_text("{"),
    )
    for damage in damages:
        folder = written(tmp_path, 4)
        complete(folder, KEY, 4, {})
        damage(folder)
        assert newest_step(tmp_path) == 0
        assert newest(tmp_path, KEY) is None
        assert not folder.exists()
