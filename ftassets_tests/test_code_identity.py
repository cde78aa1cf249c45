import importlib.metadata
import sys
from pathlib import Path

import pytest

from ftassets.code_identity import code_identity, installed_packages


def test_the_identity_names_this_release_and_its_files() -> None:
    found = code_identity()
    assert found["code_version"] == importlib.metadata.version("ftassets")
    assert len(found["code_digest"] or "") == 64


def test_packages_are_the_same_whichever_library_reads_their_metadata() -> None:
    before = installed_packages()
    assert {"ftassets", "dagster", "torch"} <= {each.name for each in before}
    [dagster] = [each for each in before if each.name == "dagster"]
    assert "dagster-pipes" in dagster.requires
    other = pytest.importorskip("importlib_metadata", reason="comes with mlflow")
    assert any(type(finder).__module__.startswith("importlib_metadata") or finder is other.MetadataPathFinder for finder in sys.meta_path)
    assert installed_packages() == before


def test_a_package_without_metadata_that_can_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"empty": None, "unversioned": b"Name: unversioned\n", "latin": b"Name: latin\nVersion: 1\nAuthor: M\xfcller\n"}
    for name, metadata in {**broken, "whole": b"Metadata-Version: 2.1\nName: whole\nVersion: 1\n"}.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        if metadata is not None:
            (folder / "METADATA").write_bytes(metadata)
    before = {each.name for each in installed_packages()}
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {each.name for each in installed_packages()} - before == {"whole"}
