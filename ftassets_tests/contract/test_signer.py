"""The contract of a signer, on every one we have."""

import pytest

from ftassets.backends.signer.folder import FolderSigner
from ftassets.testing.contracts.signer import MakeSigner, SignerContract
from ftassets_tests.backends.signer.keys import from_environment


class TestFolder(SignerContract):
    @pytest.fixture
    def make(self) -> MakeSigner:
        return FolderSigner


class TestEnvironment(SignerContract):
    @pytest.fixture
    def make(self) -> MakeSigner:
        return from_environment
