"""An adapter that went through MLflow is the adapter that was trained."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.training.methods.lora import Lora

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Any, Path]:
    """A PEFT model in memory whose adapter says something, and the folder our training writes it to."""
    import torch

    folder = tmp_path_factory.mktemp("trained")
    job = tiny_job(folder / "job", tiny_base)
    method = Lora(job.train, tiny_base, job.base_model)
    model = method.model(method.tokenizer(), torch.float32)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at the start of training
                weight.normal_(std=0.05)
    method.save(model, None, folder)
    return model, folder / "adapter"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, trained: tuple[Any, Path]) -> MlflowRegistry:
    folder = tmp_path_factory.mktemp("mlflow")
    registry = MlflowRegistry(mlflow_tables(folder), folder / "artifacts")
    registry.log_training("tiny", "run", {"rank": 4}, {"rows": 8}, [(1, 2.0)], {"digest": "a" * 64}, trained[1])
    registry.register("tiny", "tiny-v1", "a" * 64, None, {})
    registry.set_alias("tiny", "candidate", "a" * 64)
    return registry


@pytest.fixture
def pointed(registry: MlflowRegistry) -> Iterator[None]:
    """MLflow's own functions look at the registry, as with MLFLOW_TRACKING_URI in the environment."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(registry.tracking_uri)
    yield
    mlflow.set_tracking_uri(before)


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model.eval()(input_ids=torch.arange(5, 45)[None]).logits


def base_model(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")  # as our training


@pytest.mark.usefixtures("pointed")
def test_the_adapter_a_registered_version_names_gives_the_trained_logits(tmp_path, tiny_base, trained):
    from mlflow.artifacts import download_artifacts
    from peft import PeftModel

    fetched = download_artifacts("models:/tiny@candidate", dst_path=str(tmp_path))
    reloaded = PeftModel.from_pretrained(base_model(tiny_base), fetched)
    assert logits(reloaded).equal(logits(trained[0]))
    assert not logits(reloaded).equal(logits(base_model(tiny_base)))


@pytest.mark.usefixtures("pointed")
def test_logging_the_peft_model_with_its_flavour_loses_the_base(trained, registry, tiny_base):
    """Why the adapter's files are logged and not the model: MLflow writes a PEFT model's base under names that do not load."""
    import mlflow
    from transformers import AutoTokenizer

    parts = {"model": trained[0], "tokenizer": AutoTokenizer.from_pretrained(tiny_base)}
    with mlflow.start_run(experiment_id=registry.experiment("tiny")):
        logged = mlflow.transformers.log_model(parts, name="whole", task="text-generation", pip_requirements=[])
    broken = mlflow.transformers.load_model(logged.model_uri, return_type="components")["model"]
    assert (logits(broken.float()) - logits(trained[0])).abs().max() > 0.1
