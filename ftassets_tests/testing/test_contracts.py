"""The contracts are of use to somebody who has the package alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import ftassets.testing
from ftassets_tests import ROOT

MINE = "from ftassets.backends.dataset_store.git import GitDatasetStore\n\n\nclass MyStore(GitDatasetStore):\n    {body}\n"
FORGETS = "def delete(self, branch, path):\n        pass"
TESTS = ("test_main_is_there_and_empty", "test_objects_that_are_not_there[b]", "test_publish_removes_what_is_none")


def run(folder: Path, body: str) -> tuple[int, str]:
    """The docstring's example over a store with this body: exit code and output of pytest on TESTS."""
    assert ftassets.testing.__doc__ is not None
    lines = ftassets.testing.__doc__.splitlines()
    example = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    ") or not line)
    (folder / "my_package.py").write_text(MINE.format(body=body))
    (folder / "test_my_store.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", *(f"test_my_store.py::TestMyStore::{test}" for test in TESTS)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return found.returncode, found.stdout


def test_the_example_of_the_docstring_runs_a_contract(tmp_path: Path) -> None:
    code, output = run(tmp_path, "pass")
    assert (code, f"{len(TESTS)} passed" in output) == (0, True), output


def test_a_store_that_breaks_a_promise_fails_with_the_values_that_differ(tmp_path: Path) -> None:
    code, output = run(tmp_path, FORGETS)
    assert code == 1
    assert "TestMyStore::test_objects_that_are_not_there[b]" in output
    assert "TestMyStore::test_publish_removes_what_is_none" in output
    assert "TestMyStore::test_main_is_there_and_empty" not in output
    assert "assert {'d/a': b'1'" in output, "pytest explains asserts of the contracts"


def test_nothing_public_imports_our_tests() -> None:
    files = list((ROOT / "ftassets").rglob("*.py"))
    assert len(files) > 300
    assert [path for path in files if re.search(r"^\s*(from|import) ftassets_tests", path.read_text(), re.MULTILINE)] == []
