import pytest

from ftassets.domain.drift import Reference, build_reference
from ftassets_tests.domain.drift.topics import EVEN, queries


@pytest.fixture(scope="session")
def reference() -> Reference:
    return build_reference(queries(2000, EVEN, seed=1), "model:1")
