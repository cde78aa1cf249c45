"""What holds for all tests of the command line."""

import pytest

from ftassets.config.loop_files import LOOPS


@pytest.fixture(autouse=True)
def loops_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the package's loops, as with `--loops`."""
    monkeypatch.setenv("FTASSETS_LOOPS", str(LOOPS))
