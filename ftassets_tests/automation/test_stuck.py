"""A run that nothing executes any more is shown, with what to do."""

import os
import time

import pytest

from ftassets.automation import stuck
from ftassets.automation.stuck import stuck_runs
from ftassets.domain.run_worker import SILENCE
from ftassets_tests.automation.conftest import NAME, Bench, S
from ftassets_tests.automation.test_reconcile import GONE, owner


def test_a_dead_run_is_shown_with_its_nodes_and_a_living_one_is_not(bench: Bench) -> None:
    bench.run_of("adapter", status=S.STARTED, tags=owner(os.getpid()))
    bench.run_of("endpoint", status=S.FAILURE, tags=owner(GONE))
    dead = bench.run_of("adapter", "release", status=S.STARTED, tags=owner(GONE))
    [sentence] = stuck_runs(bench.instance, [NAME, "other"])[NAME]
    assert sentence.startswith(f"run {dead.run_id[:8]} (adapter, release) is STARTED, but process {GONE} on ")
    assert f"{NAME}__reconcile ends it at its next tick" in sentence


def test_a_silent_run_is_shown_once_it_is_silent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run_of("adapter", status=S.STARTED)
    assert stuck_runs(bench.instance, [NAME]) == {}
    now = time.time()
    monkeypatch.setattr(stuck.time, "time", lambda: now + SILENCE + 1)
    assert "it wrote nothing into its log for 15 minutes" in stuck_runs(bench.instance, [NAME])[NAME][0]
