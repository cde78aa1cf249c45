"""The own policy backtests to what was decided; another one to what it says, or to unknown where nothing was measured."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.config.loop import LoopConfig
from ftassets.domain.backtest import Backtested, Unknown, drift_verdict, promoted, rate_of, retrain_decision, rollout_move, totals
from ftassets.domain.drift.accumulation import WindowEvidence, evidence, with_evidence
from ftassets.domain.drift.alarms import WindowVerdict
from ftassets.domain.drift.budget import evidence_limit
from ftassets.domain.drift.comparison import ALARMS, DriftVerdict
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates, passed
from ftassets.domain.retrain import should_retrain
from ftassets.domain.rollout.look import RolloutLook
from ftassets.testing.releases import loop_config
from ftassets_tests import ROOT
from ftassets_tests.domain.drift.test_verdict_again import SPREAD, VALUES, compared, report
from ftassets_tests.domain.gates.reports import report as eval_report
from ftassets_tests.domain.gates.reports import rows
from ftassets_tests.domain.test_retrain import LOOP, situation

OWN = loop_config()


def loop(**changes: Any) -> LoopConfig:
    return loop_config(**changes)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 4), st.integers(0, 400), st.floats(0, 200 * 86400), st.integers(0, 5), st.booleans(), st.sampled_from([None, "held"]))
def test_the_own_policy_makes_the_same_retrain_decision(
    alarms: int, labels: int, ago: float, died: int, busy: bool, paused: str | None
) -> None:
    found = situation(alarms=alarms, new_labels=labels, untried_labels=labels, last_retrain_at=1e9 - ago, died=died,
                      retrain_running=busy, paused=paused, now=1e9)  # fmt: skip
    assert retrain_decision(found, LOOP, LOOP, None) == should_retrain(found, LOOP)


def test_another_policy_counts_alarms_by_its_own_verdicts_and_labels_by_its_own_limit() -> None:
    found = situation(alarms=2)
    quiet = [WindowVerdict(0.0, 1.0, DriftVerdict.QUIET)]
    assert retrain_decision(found, LOOP, LOOP, None).action == "RETRAIN"
    assert retrain_decision(found, LOOP, LOOP, quiet).cause == "no_trigger"
    more = LOOP.model_copy(update={"retrain_on": LOOP.retrain_on.model_copy(update={"min_new_labels": 10_000})})
    assert retrain_decision(found, LOOP, more, None).cause == "few_labels"
    with pytest.raises(Unknown, match="a drift report before it is unknown"):
        retrain_decision(found, LOOP, LOOP, [None])


@pytest.mark.parametrize(
    ("section", "changes", "why"),
    [
        ("retrain_on", {"schedule": "0 4 * * 1"}, "another schedule"),
        ("retrain_on", {"quality_drop": 0.1}, "was not watched"),
        ("dataset", {"production_window": 86400.0}, "production_window were not counted"),
    ],
)
def test_what_was_not_measured_for_a_retrain_is_unknown(section: str, changes: dict[str, Any], why: str) -> None:
    other = LOOP.model_copy(update={section: getattr(LOOP, section).model_copy(update=changes)})
    with pytest.raises(Unknown, match=why):
        retrain_decision(situation(quality=None), LOOP, other, None)


@settings(deadline=None, max_examples=40)
@given(VALUES, st.lists(st.floats(-2, 6), min_size=1, max_size=6))
def test_the_own_policy_gives_the_same_drift_verdict(values: list[float], scores: list[float]) -> None:
    windows = [WindowEvidence(float(day), day + 1.0, 500, z) for day, z in enumerate(scores)]
    found, drift = evidence(windows, SPREAD), OWN.retrain_on.drift
    made = with_evidence(compared(values), found, evidence_limit(drift.false_alarms, drift.budget_reports))
    stored = {**report(made, windows, found), "false_alarm_rate": rate_of(OWN)}
    assert drift_verdict(stored, OWN, OWN, None) is made.verdict


def test_another_budget_decides_by_the_thresholds_of_the_calibration_and_a_fixed_rule_by_its_limit() -> None:
    stored = {**report(compared([0.4] * len(ALARMS))), "false_alarm_rate": rate_of(OWN)}
    assert drift_verdict(stored, OWN, OWN, None) is DriftVerdict.QUIET
    looser = loop(retrain_on={"drift": {"max_false_alarms": "3/week"}})
    assert drift_verdict(stored, OWN, looser, dict.fromkeys(ALARMS, 0.3)) is DriftVerdict.ALARM
    with pytest.raises(Unknown, match="thresholds at another rate"):
        drift_verdict(stored, OWN, looser, None)
    ruled = loop(retrain_on={"drift": {"rule": "centroid_cosine"}})
    assert drift_verdict(stored, OWN, ruled, None) is DriftVerdict.ALARM, "0.2 is above the fixed 0.15"
    with pytest.raises(Unknown, match="another window were never made"):
        drift_verdict(stored, OWN, loop(retrain_on={"drift": {"window": "1h"}}), None)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 60), st.integers(0, 60))
def test_gates_pass_a_stored_report_as_they_did(mine: int, theirs: int) -> None:
    found = eval_report(rows([0.9] * mine + [0.1] * (60 - mine)), rows([0.9] * theirs + [0.1] * (60 - theirs)))
    gates = [Gate.model_validate({"metric": "exact_match", "no_worse_than": "production", "margin": 0.1})]
    assert promoted(gates, found, None) == passed(evaluate_gates(gates, found))


def test_a_gate_on_what_was_never_measured_is_unknown_unless_another_one_fails() -> None:
    better = eval_report(rows([0.9] * 60), rows([0.1] * 60))
    gates = [{"metric": "exact_match", "better_than": "production"}]
    for further, why in (
        ({"metric": "exact_match", "slice": "night", "better_than": "production"}, "no row of the slice night was scored"),
        ({"metric": "latency_p95", "no_worse_than": "production", "margin": 0.2}, "latency_p95 was not measured"),
        ({"metric": "bleu.bleu", "better_than": "production"}, "bleu.bleu was not measured"),
    ):
        policy = [Gate.model_validate(gate) for gate in (*gates, further)]
        with pytest.raises(Unknown, match=why):
            promoted(policy, better, None)
        worse = eval_report(rows([0.1] * 60), rows([0.9] * 60))
        assert not promoted(policy, worse, None), "whatever it would have been"


def test_a_stored_move_is_made_again_and_what_was_not_counted_is_unknown() -> None:
    [sample] = (ROOT / "ftassets_tests" / "samples" / "v3" / "home" / "rollouts").rglob("*.jsonl")
    look = RolloutLook.parse(sample.read_text().splitlines()[0])
    own = OWN.rollout.model_validate(look.basis.policy) if look.basis else OWN.rollout
    assert rollout_move(look, own) == f"{look.move} {look.next_weight} %" == "ROLLBACK 0 %"
    document = json.loads(sample.read_text().splitlines()[0])
    del document["basis"]["evidence"]["failures"]["errors"][5:]
    weaker = RolloutLook.parse(document)
    assert rollout_move(weaker, own) == "ROLLBACK 0 %"
    assert rollout_move(weaker, own.model_copy(update={"false_rollback": 1e-12, "interval": 1e12})) == f"HOLD {weaker.weight} %"
    other = loop(rollout={"guardrails": [{"metric": "errors"}, {"metric": "language"}]}).rollout
    if "language" not in {each.metric for each in own.guardrails}:
        with pytest.raises(Unknown, match="lapses in language were not counted"):
            rollout_move(look, other)
    with pytest.raises(Unknown, match="this policy has other steps"):
        rollout_move(look, own.model_copy(update={"steps": (3, 100)}))


def test_totals_count_each_kind() -> None:
    made = [Backtested("drift", 1.0, "a", "QUIET", "QUIET"), Backtested("drift", 2.0, "b", "QUIET", "ALARM"),
            Backtested("drift", 3.0, "c", "QUIET", None, "why")]  # fmt: skip
    assert totals(made) == {"drift": {"decisions": 3, "same": 1, "differ": 1, "unknown": 1}}
    assert asdict(made[2])["why"] == "why"
