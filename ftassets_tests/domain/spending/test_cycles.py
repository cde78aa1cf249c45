from typing import Any

import pytest

from ftassets.domain.spending.cycles import BETWEEN, Outcome, cycles
from ftassets.domain.spending.usage import SILENCE
from ftassets_tests.domain.spending.conftest import entry

LATER = 1e6


def outcome(*nodes: tuple[str, str | None], now: float = LATER, promoted: tuple[str, ...] = (), **known: Any) -> Outcome:
    entries = [entry("run", name, float(at), ended=ended, made=f"{name}-made", **known) for at, (name, ended) in enumerate(nodes)]
    [found] = cycles(entries, promoted, now)
    return found.outcome


TRAINED = (("golden_set", "done"), ("curated_dataset", "done"), ("adapter", "done"), ("eval_report", "done"))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ((("promotion_gates", "done"), ("release", "done")), Outcome.RELEASED),
        ((("promotion_gates", "refused"),), Outcome.REFUSED),
        ((("promotion_gates", "done"), ("release", "refused")), Outcome.REFUSED),
        ((("promotion_gates", "done"), ("release", "failed")), Outcome.FAILED),
        ((("promotion_gates", "failed"),), Outcome.FAILED),
        ((("eval_report", "over_budget"),), Outcome.REFUSED),
        ((("promotion_gates", "cancelled"),), Outcome.CANCELLED),
        ((("promotion_gates", None),), Outcome.DIED),
        ((), Outcome.DIED),  # between two nodes
        ((("eval_report", "failed"), ("eval_report", "done"), ("promotion_gates", "done"), ("release", "done")), Outcome.RELEASED),
    ],
)
def test_a_run_s_outcome_is_that_of_its_nodes(more: tuple[tuple[str, str | None], ...], expected: Outcome) -> None:
    assert outcome(*TRAINED, *more) is expected


def test_a_version_that_was_in_production_was_promoted() -> None:
    assert outcome(*TRAINED, ("release", "done"), promoted=("release-made",)) is Outcome.PROMOTED


def test_a_run_is_at_work_while_it_is_measured_or_its_next_node_begins() -> None:
    assert outcome(("adapter", None), now=SILENCE) is Outcome.RUNNING
    assert outcome(("adapter", None), now=SILENCE + 1) is Outcome.DIED
    assert outcome(("adapter", "done"), now=BETWEEN) is Outcome.RUNNING
    assert outcome(("adapter", "done"), now=BETWEEN + 2) is Outcome.DIED


def test_single_nodes_by_hand_are_a_part_and_runs_that_watch_are_no_cycles() -> None:
    assert outcome(("adapter", "done"), for_release=False) is Outcome.PART
    assert outcome(("recipe_proposal", "done"), for_release=False) is Outcome.PART
    watching = [entry("watch", "drift_report", 1.0), entry("monitor", "golden_set", 2.0)]
    making = [entry("b", "golden_set", 5.0), entry("b", "curated_dataset", 6.0), entry("a", "adapter", 7.0, made="abc")]
    first, second = cycles([*watching, *making], (), LATER)
    assert (first.run_id, len(first.entries), first.version) == ("b", 2, None)
    assert (second.run_id, second.version) == ("a", "abc")
