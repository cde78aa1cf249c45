"""The files of loops as they were when they could be used."""

import logging
from pathlib import Path

import pytest

from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.kept_loops import keep, kept_loops, kept_names
from ftassets.config.loop_files import read_loop_files
from ftassets_tests.config.test_loops_folder import put_loop


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Loops `support` in a folder of another name, and `other`."""
    folder = put_loop(put_loop(tmp_path / "loops", "support"), "other")
    (folder / "support").rename(folder / "first")
    return folder


def test_a_loop_whose_file_broke_is_as_it_was_with_what_is_wrong_now(folder: Path, tmp_path: Path) -> None:
    control, before = FilesControl(tmp_path / "home"), read_loop_files(folder)
    for name, path in before.paths.items():
        keep(control, name, path)
    before.paths["support"].write_text("type: [")
    now = read_loop_files(folder)
    kept = kept_loops(control, now.broken, now.loops)
    assert {name: each.config for name, each in kept.items()} == {"support": before.loops["support"]}
    assert kept["support"].problem == now.broken[0].problem
    assert kept_names(control, now.broken[0]) == ["support"], "its folder has another name"
    assert kept_loops(control, now.broken, {"support"}) == {}, "the loop has another file now"
    keep(control, "support", before.paths["support"])
    assert kept_loops(control, now.broken, now.loops) == kept, "a broken file takes the place of none"


def test_what_is_kept_and_cannot_be_used_either_is_logged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    control, path = FilesControl(tmp_path / "home"), folder / "first" / "defs.yaml"
    monkeypatch.setenv("WHAT", "it answers")
    path.write_text(path.read_text().replace("  name: support", "  name: support\n  description: '{{ env.WHAT }}'"))
    keep(control, "support", path)
    assert "it answers" not in (tmp_path / "home/kept_loops/support.json").read_text(), "no value of a variable is stored"
    (tmp_path / "home/kept_loops/third.json").write_text("{")
    monkeypatch.delenv("WHAT")
    path.write_text("type: [")
    with caplog.at_level(logging.ERROR):
        assert kept_loops(control, read_loop_files(folder).broken, ()) == {}
    assert "third.json cannot be read" in caplog.text
    assert f"{path} cannot be used as it was last either: " in caplog.text
    assert "WHAT, which is not set" in caplog.text
