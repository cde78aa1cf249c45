"""The contract of a trainer, on this machine, in a pod and on Ray."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from ftassets.backends.trainer.base import Trainer, TrainingTerminated
from ftassets.backends.trainer.kubernetes import KubernetesTrainer
from ftassets.backends.trainer.ray import RayTrainer
from ftassets.backends.trainer.subprocess import SubprocessTrainer
from ftassets.domain.training.job import TrainingJob
from ftassets.testing.contracts.trainer import MakeTrainer, TrainerContract, run
from ftassets.testing.doubles.kubernetes import cluster, pod_manifest
from ftassets_tests import ROOT


class TestSubprocess(TrainerContract):
    trains_for_real = False  # e2e/test_faults.py does

    @pytest.fixture
    def make(self) -> MakeTrainer:
        return lambda arguments: SubprocessTrainer(tuple(arguments))


class TestRay(TrainerContract):
    trains_for_real = False  # backends/trainer/test_ray.py does, on a cluster

    @pytest.fixture
    def make(self) -> MakeTrainer:
        return lambda arguments: RayTrainer(tuple(arguments))

    def test_a_crash_of_the_client_is_tried_again(self, script: Callable[[str], Trainer], job: TrainingJob) -> None:
        with pytest.raises(TrainingTerminated, match="Ray's client crashed"):
            run(script("os.kill(os.getpid(), 11)\n"), job)


class TestKubernetes(TrainerContract):
    @pytest.fixture
    def make(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeTrainer]:
        manifest = tmp_path / "pod.yaml"
        manifest.write_text(yaml.safe_dump(pod_manifest(tmp_path)))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        with cluster(tmp_path) as (here, kubeconfig):
            monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
            yield lambda arguments: KubernetesTrainer(manifest, tmp_path, tmp_path / "cache", (sys.executable, *arguments), poll=0.05)
            assert len(here.every) == 1
            assert not here.pods, "a pod is deleted when it is done"
