"""A training in W&B, in offline mode: its file is read back."""

import json
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.run_mirror.wandb import WandbMirror
from ftassets.domain.training.points import Point
from ftassets.errors import PackageMissing

BLOCK, FULL, LAST = 32768, 1, 4
POINTS = [
    Point(1, {"loss": 2.0, "learning_rate": 1e-4}, 1.0),
    Point(2, {"loss": 1.5}, 2.0),
    Point(2, {"validation_loss": 1.7}, 2.5),
    Point(3, {"loss": 1.0}, 3.0),
]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")


def chunks(data: bytes) -> Iterator[bytes]:
    """The records of a file in the format of LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md)."""
    place, record = 7, b""  # after the file's own header
    while place < len(data):
        if (left := BLOCK - place % BLOCK) < 7:
            place += left
            continue
        _, length, part = struct.unpack_from("<IHB", data, place)
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (FULL, LAST):
            yield record
            record = b""


def records(folder: Path) -> list[tuple[Path, list[Any]]]:
    """All records of each run below a folder, oldest run first."""
    from wandb.proto import wandb_internal_pb2

    kind: Any = wandb_internal_pb2
    files = sorted(folder.rglob("*.wandb"), key=lambda path: path.stat().st_mtime)
    return [(file, [kind.Record.FromString(each) for each in chunks(file.read_bytes())]) for file in files]


def values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_settings_curves_and_scores_are_in_the_file_and_nothing_of_the_machine(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    mirror = WandbMirror("support models", tmp_path / "tracking")
    where = mirror.begin("run1", "training c0ffee", {"learning_rate": 1e-4, "dagster_run_url": "http://d/runs/1"})
    assert str(tmp_path / "tracking") in where
    mirror.log_points([POINTS[0], POINTS[3], POINTS[1], POINTS[2]])
    mirror.end({"digest": "a" * 64, "rows": 8}, failed=False)
    later = WandbMirror("support models", tmp_path / "tracking")
    later.begin("run1", "adapter-aaaa", {})
    later.end({"candidate/golden/exact_match": 0.75}, failed=False)

    (file, training), (_, scores) = records(tmp_path / "tracking")
    [run] = [record.run for record in training if record.HasField("run")]
    assert (run.run_id, run.project, run.display_name) == ("run1", "support models", "training c0ffee")
    config = values(run.config.update)
    assert (config["learning_rate"], config["dagster_run_url"]) == (1e-4, "http://d/runs/1")
    history: dict[int, dict[str, Any]] = {}
    for record in training:
        if record.HasField("history"):
            found = values(record.history.item)
            history.setdefault(found["_step"], {}).update(found)
    curve = {step: (found.get("loss"), found.get("validation_loss")) for step, found in history.items()}
    assert curve == {1: (2.0, None), 2: (1.5, 1.7), 3: (1.0, None)}
    summary: dict[str, Any] = {}
    for record in [*training, *scores]:
        summary |= values(record.summary.update)
    assert (summary["digest"], summary["rows"]) == ("a" * 64, 8)
    assert summary["candidate/golden/exact_match"] == 0.75
    [again] = [record.run for record in scores if record.HasField("run")]
    assert again.run_id == "run1"
    assert [record.exit.exit_code for record in training if record.HasField("exit")] == [0]
    everything = file.read_bytes()
    assert not any(record.HasField("output_raw") or record.HasField("stats") for record in training)
    for private in (sys.executable, socket.gethostname(), "requirements.txt", "wandb-metadata.json"):
        assert private.encode() not in everything, private


def test_a_training_that_failed_is_shown_as_failed(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    mirror = WandbMirror("p", tmp_path)
    mirror.begin("run2", "training", {})
    mirror.end({"ended_because": "the loss is NaN"}, failed=True)
    [(_, found)] = records(tmp_path)
    assert [record.exit.exit_code for record in found if record.HasField("exit")] == [1]


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(PackageMissing, match=r"pip install 'ftassets\[wandb\]'"):
        WandbMirror("p", tmp_path).begin("run", "training", {})
