"""The table of guards names texts and tests that exist; `python -m ftassets_tests.guards` takes the guards away."""

import importlib

import pytest

from ftassets_tests import ROOT
from ftassets_tests.guards import GUARDS, Guard, occurrences


def ids(guard: Guard) -> str:
    return guard.name


@pytest.mark.parametrize("guard", GUARDS, ids=ids)
def test_the_text_of_a_guard_is_in_the_sources_once(guard: Guard) -> None:
    assert occurrences(guard) == 1, f"ftassets/{guard.file} has changed: bring this line of guards.py up to date, and run it"
    source = (ROOT / "ftassets" / guard.file).read_text()
    compile(source.replace(guard.old, guard.new), guard.file, "exec")


@pytest.mark.parametrize("guard", GUARDS, ids=ids)
def test_the_tests_of_a_guard_exist(guard: Guard) -> None:
    assert guard.tests
    for test in guard.tests:
        file, *names = test.split("::")
        found: object = importlib.import_module(f"ftassets_tests.{file.removesuffix('.py').replace('/', '.')}")
        for name in names:
            found = getattr(found, name, None)
            assert found, f"there is no {name} in {file}"


def test_no_guard_is_listed_twice() -> None:
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)
    assert len({(guard.file, guard.old, guard.new) for guard in GUARDS}) == len(GUARDS)
