import importlib.metadata
import sys

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
