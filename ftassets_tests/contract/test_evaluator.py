"""The contract of an evaluator, in a process of its own and in this one."""

import os

import pytest

from ftassets.backends.evaluator.subprocess import SubprocessEvaluator
from ftassets.testing.contracts.evaluator import EvaluatorContract, MakeEvaluator
from ftassets.testing.tiny_loop import EvaluatorHere
from ftassets_tests import ROOT

pytestmark = pytest.mark.models


class TestSubprocess(EvaluatorContract):
    # each job takes seconds to start; that the process does these two as well is in backends/evaluator/test_subprocess.py
    test_each_expected_answer_has_a_likelihood_and_the_file_is_not_written_again = None  # type: ignore[assignment]
    test_metrics_are_measured_anew_and_returned = None  # type: ignore[assignment]

    @pytest.fixture
    def make(self, monkeypatch: pytest.MonkeyPatch) -> MakeEvaluator:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        return SubprocessEvaluator


class TestHere(EvaluatorContract):
    @pytest.fixture
    def make(self) -> MakeEvaluator:
        return EvaluatorHere
