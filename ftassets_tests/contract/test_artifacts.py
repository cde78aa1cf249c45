"""Artifacts: the contract on each backend, and what only a folder can show."""

import os
from pathlib import Path

import pytest

from ftassets.backends.artifacts.base import ArtifactConflict
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.testing.contracts.artifacts import KEY, LAST, ArtifactsContract


class TestFolder(ArtifactsContract):
    """Files below the home."""

    backend = "ftassets.backends.artifacts.folder:FolderArtifacts"

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / "home")

    def test_files_have_the_names_of_their_keys(self, artifacts: FolderArtifacts, place: str) -> None:
        artifacts.put(KEY, b"{}")
        assert Path(place, KEY).read_bytes() == b"{}"
        assert artifacts.draft("answers/x.parquet") == Path(place, "answers", "x.parquet"), "nothing is copied"

    def test_a_file_that_was_changed_is_not_passed_over(self, artifacts: FolderArtifacts, place: str) -> None:
        artifacts.put(KEY, b"first")
        Path(place, KEY).write_bytes(b"edited")
        with pytest.raises(ArtifactConflict, match="was changed after it was written"):
            artifacts.put(KEY, b"first")

    def test_an_unfinished_folder_in_the_way_is_not_hidden(self, artifacts: FolderArtifacts, place: str, tmp_path: Path) -> None:
        Path(place, "versions", "abc").mkdir(parents=True)
        Path(place, "versions", "abc", "half").touch()
        source = self.folder(tmp_path / "staging", "whole")
        with pytest.raises(ArtifactConflict, match=f"in the way and has no {LAST}"):
            artifacts.put_folder("versions/abc", source, LAST)
        assert (source / LAST).read_text() == "whole"

    def test_the_same_file_under_another_path_is_not_removed(self, artifacts: FolderArtifacts, place: str, tmp_path: Path) -> None:
        """A relative path or a link names the stored file itself: taking it in must not be taken for a second one."""
        artifacts.put(KEY, b"content")
        artifacts.put_folder("versions/abc", self.folder(tmp_path / "staging", "whole"), LAST)
        artifacts.put_file(KEY, Path(os.path.relpath(Path(place, KEY))))
        artifacts.put_folder("versions/abc", Path(os.path.relpath(Path(place, "versions", "abc"))), LAST)
        assert artifacts.get(KEY) == b"content"
        assert artifacts.get("versions/abc/merged/weights") == b"whole"

    def test_stray_files_and_links_that_lead_nowhere_hide_no_other_name(self, artifacts: FolderArtifacts, place: str) -> None:
        artifacts.put(KEY, b"{}")
        folder = Path(place, KEY).parent
        (folder / "dangling").symlink_to("nowhere")
        (folder / "itself").symlink_to("itself")
        (folder / "latest.json.lock").touch()
        (folder / "good").symlink_to(KEY.split("/")[-1])
        assert sorted(artifacts.names("reports/support")) == ["eval-1f3a.json", "good"]
        assert not artifacts.exists("reports/support/itself")
        for name in ("dangling", "itself"):
            with pytest.raises(ArtifactConflict, match="in the way"):
                artifacts.put(f"reports/support/{name}", b"x")

    def test_a_write_that_fails_leaves_nothing(self, artifacts: FolderArtifacts, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        artifacts.put("reports/support/other.json", b"{}")
        monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            artifacts.put(KEY, b"x")
        assert [path.name for path in Path(place, "reports", "support").iterdir()] == ["other.json"]
