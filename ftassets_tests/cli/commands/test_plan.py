"""`ftassets plan`: what gates and rollout can prove, as JSON and as a table."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ftassets.assets._shared.dataset_files import pack_arrays, reference_path
from ftassets.cli.commands import plan as command
from ftassets.cli.commands.plan import describe, drift_of, run
from ftassets.config.home import Home
from ftassets.config.loop import Dataset, Guardrail, LoopConfig, PairwiseJudgeSettings, Release, RetrainOn, Rollout, Task
from ftassets.config.profiles import embedded
from ftassets.domain.drift import build_reference
from ftassets.domain.gates.error_budget import Ledger
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.planning import RowCounts
from ftassets.domain.gates.report import HELD_OUT
from ftassets.domain.mean_bounds import pair_p_values
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.hash_embedder import HashEmbedder

GATES = [
    Gate(metric="exact_match", better_than="production"),
    Gate(metric="exact_match", slice="established", no_worse_than="production", margin=0.02),
    Gate(metric="latency_p95", no_worse_than="production", margin=0.2),
]
NO_PROOF = Guardrail(metric="errors", required=False)
JUDGE = PairwiseJudgeSettings(url="http://127.0.0.1:9", model="m", labels=Path("labels.jsonl"))
ROWS = RowCounts({"established": 300, "drifted": 200, HELD_OUT: 5000})


def loop(**changes: Any) -> LoopConfig:
    fixed: dict[str, Any] = {"name": "support", "base_model": "base", "task": Task(system_prompt="Answer."), "gates": GATES}
    return LoopConfig(**{**fixed, "dataset": Dataset(seed="seed.jsonl"), "golden_set": "golden.jsonl", **changes})


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    return run(loop(), ROWS, 24_000)


def test_gates_count_the_rows_they_would_compare(plan: dict[str, Any]) -> None:
    assert [gate["name"] for gate in plan["gates"]] == [gate.name for gate in GATES]
    assert [gate["rows"] for gate in plan["gates"]] == [500, 300, 400]
    assert json.loads(json.dumps(plan)) == plan
    held_out = loop(gates=[Gate(metric="exact_match", slice=HELD_OUT, better_than="production")])
    assert run(held_out, ROWS, 24_000)["gates"][0]["rows"] == 5000
    none = run(loop(gates=GATES[2:]), RowCounts({}), 24_000)["gates"][0]
    assert (none["rows"], none["power"]) == (0, 0.0)


def test_assumptions_change_the_plan_and_stand_in_it(plan: dict[str, Any]) -> None:
    noisy = run(loop(gates=GATES[:2]), ROWS, 24_000, discordance=0.3, effect=0.1)
    assert noisy["assumed"]["discordance"] == 0.3
    assert noisy["gates"][1]["needed"] > 2 * plan["gates"][1]["needed"]
    assert noisy["gates"][0]["effect"] == 0.1
    with pytest.raises(ValueError, match="discordance"):
        run(loop(), ROWS, 24_000, discordance=0.02)


def test_the_table_names_every_gate_and_step_and_what_is_too_weak(plan: dict[str, Any]) -> None:
    text = describe(plan)
    lines = text.splitlines()
    assert any(line.split() == ["exact_match_better", "0.04", "500", "416", "87%", "640", "rows"] for line in lines)
    assert any(line.split()[:2] == ["5", "%"] for line in lines)
    assert "exact_match_established_no_worse: non-inferiority with margin 0.02 on 300 rows passes an equal model with only 23%" in text
    assert "exact_match_better: superiority" not in text
    assert max(len(line) for line in lines) <= 200


def test_a_plan_says_how_often_all_gates_pass_and_with_which_rows(plan: dict[str, Any]) -> None:
    chances, together = [gate["power"] for gate in plan["gates"]], plan["all_gates"]
    assert together["power"] == pytest.approx(np.prod(chances))
    assert together["at_least"] <= together["power"] <= together["at_most"] == min(chances)
    assert "all gates pass together with 18% if they are independent, between 0% and 23% if they are not" in describe(plan)
    alone = run(loop(gates=GATES[:1]), ROWS, 24_000)
    assert alone["gates"][0]["needed_for_all"] == alone["gates"][0]["needed"], "one gate is all there is"
    assert "for all" not in describe(alone)
    f1 = {"metric": "f1", "better_than": "production"}
    some = run(loop(gates=[*GATES[:2], Gate.model_validate(f1)]), ROWS, 24_000)
    assert some["gates"][2]["needed_for_all"] is None
    assert "those that can be planned, 2 of 3, pass together" in describe(some)
    assert run(loop(gates=[Gate.model_validate(f1)]), ROWS, 24_000)["all_gates"] == {"power": None, "at_least": None, "at_most": None}


def test_enough_rows_and_a_patient_rollout_need_no_warning() -> None:
    patient = loop(gates=GATES[:2], rollout=Rollout(min_requests=2000))
    plan = run(patient, RowCounts({"established": 3000}), 1e6)
    assert plan["rollout_sentences"] == []
    assert describe(plan).splitlines()[-1].split()[:2] == ["50", "%"]


def test_a_rollout_too_quick_to_see_a_failing_candidate_says_what_would_help() -> None:
    plan = run(loop(gates=GATES[:1], rollout=Rollout(min_requests=100)), ROWS, 24_000)
    first = plan["rollout"][0]["rollback_requests"]
    assert "3 times the errors is left at the last step, without a proof, in 6" in plan["rollout_sentences"][0]
    unproved = run(loop(gates=GATES[:1], rollout=Rollout(min_requests=100, guardrails=(NO_PROOF,))), ROWS, 24_000)
    assert "3 times the errors gets all traffic in 5" in unproved["rollout_sentences"][0]
    assert f"min_requests {first} would hold it at 5 %" in plan["rollout_sentences"][0]


def test_a_rollout_that_rolls_back_for_want_of_data_names_the_steps() -> None:
    policy = Rollout(on_not_enough_data="rollback", min_requests=100)
    sentences = run(loop(gates=GATES[:1], rollout=policy), ROWS, 1000)["rollout_sentences"]
    assert [sentence.split(":")[0] for sentence in sentences] == [
        f"at {step} % a good candidate goes back for want of data" for step in (5, 20, 50)
    ]
    assert "2.2 days" in sentences[0]
    assert "step lasts 5 min" in sentences[0]


def test_a_rollout_of_one_step_proves_nothing() -> None:
    plan = run(loop(gates=GATES[:1], rollout=Rollout(steps=(100,))), ROWS, 1000)
    assert "no canary step" in plan["rollout_sentences"][0]
    assert "no canary step" in describe(plan)


def test_a_plan_says_what_drift_reports_find_once_production_has_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    home, embedder, production = Home(tmp_path), HashEmbedder(), [None, "a" * 64]
    watched = loop(retrain_on={"drift": {"sample": 60, "min_sample": 50}})
    assert plan["drift"] is None
    assert "is not known: no gateway has run" in drift_of(home, watched, None).sentences[0]
    parts = embedded(home)
    monkeypatch.setattr(command, "embedder", lambda settings: embedder)
    serving = SimpleNamespace(state=lambda name: EndpointState(production=production[0]))
    monkeypatch.setattr(command, "backend", lambda where, name: serving if name == "serving" else parts[name]())
    assert "is not known: nothing is in production yet" in drift_of(home, watched, None).sentences[0]
    production.pop(0)
    assert "the reference waits for production's first answers" in drift_of(home, watched, None).sentences[0]
    made = build_reference(embedder.embed([f"{verb} lamp {n}" for verb in ("dim", "light", "open") for n in range(200)]), embedder.id)
    content = pack_arrays(**made.to_arrays(), until=0.0, sensitivity=[])  # type: ignore[arg-type]
    parts["dataset_store"]().publish("r0", {reference_path("support", "a" * 64): content}, "reference", {"loop": "support"})
    found = run(watched, ROWS, 24_000, drift=drift_of(home, watched, 24_000))
    assert [each["unseen_share"] for each in found["drift"]["powers"]] == [0.05, 0.1, 0.25]
    assert found["drift"]["queries"] == 60
    assert "of new topics" in next(line for line in describe(found).splitlines() if line.startswith("drift: "))
    assert "NOT ENOUGH DATA" in drift_of(home, watched, 20).sentences[0]


METRICS = ["rouge", "bertscore", "output_length", "refusal_rate", "chrf", "mine:Own"]


def test_every_kind_of_gate_has_a_line_and_those_that_cannot_be_planned_say_why() -> None:
    better, f1 = {"metric": "exact_match", "better_than": "production"}, {"metric": "f1", "better_than": "production"}
    margin = {"no_worse_than": "production", "margin": 0.05}
    gates = [
        better, f1, {"metric": "f1", "at_least": 0.9}, {"any_of": [better | {"slice": "drifted"}, f1]},
        *({"preset": name} for name in ("rouge_l", "bertscore_f1", "task_accuracy", "latency", "f1")),
        {"metric": "rouge.rougeL"} | margin, {"metric": "output_length.mean"} | margin, {"metric": "mine:Own.value"} | margin,
        {"metric": "refusal_rate.refusal_rate", "at_most": 0.05}, {"metric": "chrf.chrf", "at_least": 60},
        {"metric": "exact_match", "slice": "nowhere", "at_least": 0.5}, {"metric": "exact_match", "slice": "odd", "at_most": 0.9},
        {"metric": "latency_p95"} | margin, {"metric": "latency_p95", "at_most": 900}, {"metric": "parity", "at_least": 0.99},
        {"metric": "human_review", "at_least": 0.8}, {"metric": "llm_judge"} | margin,
    ]  # fmt: skip
    plans = [
        run(loop(gates=[Gate.model_validate(gate)], rollout=Rollout(steps=(100,)), llm_judge=JUDGE, metrics=METRICS), ROWS, 1000)
        for gate in gates
    ]
    lines = [plan["gates"][0] for plan in plans]
    unplanned = [line["name"] for line in lines if line["power"] is None]
    assert unplanned == [
        "f1_better", "f1_at_least", "preset_latency", "preset_f1", "output_length_mean_no_worse", "mine_Own_value_no_worse",
        "latency_p95_at_most", "parity_at_least", "human_review_at_least", "llm_judge_no_worse",
    ]  # fmt: skip
    assert all(line["sentence"].startswith("cannot be planned: ") for line in lines if line["power"] is None)
    assert all(0 <= line["power"] <= 1 for line in lines if line["power"] is not None)
    assert lines[3]["rows"] == 200
    assert all(line["name"] in describe(plan) for line, plan in zip(lines, plans, strict=True))
    json.dumps(plans, allow_nan=False)


def test_a_plan_is_at_the_level_that_the_error_budget_gives_and_shows_a_year() -> None:
    fresh = run(loop(), ROWS, 24_000)["error_budget"]
    assert (fresh["level"], fresh["decisions"], fresh["per_year"]) == (0.05, 0, 1.0)
    assert [year["candidates"] for year in fresh["years"]] == [6, 12, 26, 52]
    assert [year["level"] for year in fresh["years"]] == [0.05, 0.05, 0.0307, 0.0153]
    for year in fresh["years"]:
        assert year["bad_promotions"] == year["candidates"] * year["level"] <= 1
        assert list(year["missed"].values()) == sorted(year["missed"].values(), reverse=True), "a larger gain is missed less often"
    missed = [[year["missed"][gain] for year in fresh["years"]] for gain in ("0.02", "0.04")]
    assert all(shares == sorted(shares) for shares in missed), "more candidates, lower levels, more good ones missed"
    ledger = Ledger(decisions=())
    for number in range(8):
        ledger = ledger.with_decision(1.0, 0.05, str(number), "candidate", "golden", 0.0)
    later = run(loop(), ROWS, 24_000, ledger=ledger, now=0.0)
    assert later["error_budget"]["level"] < 0.005
    assert later["gates"][0]["power"] < run(loop(), ROWS, 24_000)["gates"][0]["power"] - 0.2
    assert "times the rows of 0.05, which the gates ask for" in describe(later)
    assert "error budget: level 0.05; 0 decisions" in describe(run(loop(), ROWS, 24_000))


def test_the_years_of_a_plan_are_those_the_policy_allows() -> None:
    def candidates(**policy: Any) -> list[int]:
        found = run(loop(gates=GATES[:1], retrain_on=RetrainOn(**policy)), ROWS, 24_000)["error_budget"]["years"]
        return [year["candidates"] for year in found]

    assert candidates(max_retrains=2) == [6, 8]
    assert candidates(cooldown=30 * 86400) == [6, 12]
    assert candidates(cooldown=365 * 86400) == [1]
    assert candidates(cooldown=60) == [6, 12, 26, 52]


def test_what_a_year_misses_is_what_simulated_candidates_miss() -> None:
    budget = run(loop(gates=GATES[:1]), ROWS, 24_000)["error_budget"]
    rng = np.random.default_rng(1)
    won, lost = rng.multinomial(500, [0.07, 0.03, 0.9], size=20_000)[:, :2].T
    p = pair_p_values(won, lost, 500, 0.0)
    for year in budget["years"]:
        assert year["missed"]["0.04"] == pytest.approx(np.mean(p >= year["level"]), abs=0.015)


def test_without_a_budget_gates_are_planned_at_their_own_confidence() -> None:
    plan = run(loop(release=Release(bad_promotions_a_year=None)), ROWS, 24_000)
    assert plan["error_budget"] is None
    assert "error budget" not in describe(plan)


def test_a_plan_says_how_long_the_golden_set_lasts() -> None:
    few = run(loop(gates=GATES[:1]), RowCounts({"established": 200, "drifted": 100}), 24_000)
    assert few["golden_set_lasts"] == 10
    assert "the golden set lasts for 10 candidates" in describe(few)
    many = run(loop(gates=GATES[:1]), RowCounts({"established": 5000}), 24_000)
    assert many["golden_set_lasts"] is None
    assert "lasts" not in describe(many)
    strict = run(loop(gates=GATES[:2]), RowCounts({"established": 2000}), 24_000)
    assert strict["golden_set_lasts"] < 100, "a margin of 2 points takes more rows than a gain of 4"
