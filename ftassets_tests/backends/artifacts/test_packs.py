"""A pack is stored whole or not at all, and once."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from ftassets.backends.artifacts.base import ArtifactMissing
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.packs import has_pack, pack_key, read_pack, store_pack
from ftassets.domain.release.pack import PACK_TYPE
from ftassets.domain.release.statement import write_statement


def envelope() -> bytes:
    """A manifest without files, as an envelope that nobody signed."""
    return json.dumps({"payload": b64encode(write_statement(PACK_TYPE, {}, {})).decode()}).encode()


def test_a_pack_is_there_with_its_manifest_alone(tmp_path: Path) -> None:
    artifacts, key = FolderArtifacts(tmp_path), pack_key("support", b"payload")
    draft = artifacts.draft(key)
    draft.mkdir()
    (draft / "README.md").write_text("of a process that was killed")
    assert not has_pack(artifacts, key)
    with pytest.raises(ArtifactMissing):
        read_pack(artifacts, key)
    signed = envelope()
    (draft / "pack.dsse.json").write_bytes(signed[:-9])
    (draft / "notes.md").write_text("of another attempt")
    assert not has_pack(artifacts, key), "a torn manifest says nothing"
    store_pack(artifacts, key, {"README.md": b"card"}, signed)
    assert has_pack(artifacts, key)
    assert read_pack(artifacts, key) == {"README.md": b"card", "pack.dsse.json": signed}
    assert pack_key("support", b"other") != key
