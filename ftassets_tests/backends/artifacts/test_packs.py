"""A pack is stored whole or not at all, and once."""

from pathlib import Path

import pytest

from ftassets.backends.artifacts.base import ArtifactMissing
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.packs import has_pack, pack_key, read_pack, store_pack


def test_a_pack_is_there_with_its_manifest_alone(tmp_path: Path) -> None:
    artifacts, key = FolderArtifacts(tmp_path), pack_key("support", b"payload")
    draft = artifacts.draft(key)
    draft.mkdir()
    (draft / "README.md").write_text("of a process that was killed")
    assert not has_pack(artifacts, key)
    with pytest.raises(ArtifactMissing):
        read_pack(artifacts, key)
    store_pack(artifacts, key, {"README.md": b"card"}, b"signed")
    assert read_pack(artifacts, key) == {"README.md": b"card", "pack.dsse.json": b"signed"}
    assert pack_key("support", b"other") != key
