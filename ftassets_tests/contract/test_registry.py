"""The contract of a registry, on every one we have; on an MLflow server it is in backends/registry/test_mlflow_server.py."""

from pathlib import Path

import pytest

from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.testing.contracts.registry import MakeRegistry, RegistryContract
from ftassets.testing.doubles.registry import MemoryRegistry
from ftassets.testing.made_once import mlflow_tables


class TestMlflowOnSqlite(RegistryContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeRegistry:
        mlflow_tables(tmp_path)
        return lambda: MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")


class TestMemory(RegistryContract):
    @pytest.fixture
    def make(self) -> MakeRegistry:
        registry = MemoryRegistry()
        return lambda: registry
