"""Every entry of the tables of gate kinds, presets and metrics is followed by all that use them."""

from typing import Any

import pytest
from pydantic import ValidationError

from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.forgetting import REFERENCES, Forgetting
from ftassets.domain.evaluation.human_review import Given, Review
from ftassets.domain.evaluation.llm_judge import Calibration, LabelledChoice, PairwiseScore
from ftassets.domain.evaluation.metrics import CATALOGUE, RowValue, row_value, row_values
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.evaluation.sampled_answers import SAMPLED
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.human_review import review_sample
from ftassets.domain.gates.kinds import COMPARISONS, KINDS, GateKind, kind_of
from ftassets.domain.gates.planning import plan_gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.presets import RULES, as_gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets_tests.domain.gates.reports import labelled, report

PARITY = Parity(
    prompts=40, adapter_tokens=400, adapter_agree=400, adapter_shares=[1.0] * 40, logprob_gap=0.0, server_tokens=400, server_agree=400,
    server_shares=[1.0] * 40, valid_merged=40, valid_server=40, valid_lost=0, tokenizer_same=True, adapter_ms=1.0, merged_ms=1.0,
)  # fmt: skip
N = 400
BOUNDS = {"better_than": "production", "no_worse_than": "production", "at_least": 0.5, "at_most": 0.5}
# what an excellent candidate clears, kind by kind where 0.5 means nothing
CLEARED = {"latency_p95": {"at_most": 500.0, "margin": 0.5}}


def gates_on(metric: str, kind: GateKind) -> list[Gate]:
    """A gate for each comparison that the kind allows and its direction does not forbid."""
    better_when_lower = ("no_worse_than", "at_most")
    found = []
    for name in kind.compared_with:
        if kind.value.lower_is_better and metric not in KINDS and name not in better_when_lower:
            continue
        setting: dict[str, Any] = {"metric": metric, name: CLEARED.get(metric, {}).get(name, BOUNDS[name])}
        if name == "no_worse_than":
            setting["margin"] = CLEARED.get(metric, {}).get("margin", 0.1)
        if kind.value.largest and name in ("at_least", "at_most"):
            setting[name] = kind.value.largest / 2
        found.append(Gate.model_validate(setting | ({"clip": 1.0} if kind.value.clip else {})))
    return found


OWN = [gate for metric, kind in KINDS.items() for gate in gates_on(metric, kind)]
MEASURED = [gate for metric in row_values() for gate in gates_on(metric, kind_of(metric))]


def excellent(gate: Gate) -> tuple[EvalReport, Review | None]:
    """A report on a candidate far better than production by what the gate is on."""
    classes = ["a", "b"] * (N // 2)
    ours, theirs = labelled(classes, classes), labelled(classes, ["c"] * N)
    if "." in gate.metric or gate.metric == SAMPLED:
        low, high = 0.0, gate.kind.value.largest or 1.0
        good, bad = (low, high) if gate.kind.value.lower_is_better else (high, low)
        ours, theirs = ([s.model_copy(update={"values": {gate.metric: v}}) for s in each] for each, v in ((ours, good), (theirs, bad)))
    made = report(ours, theirs, {"candidate": [100.0 + n % 7 for n in range(N)], "production": [900.0 + n % 7 for n in range(N)]})
    made = made.model_copy(
        update={
            "parity": PARITY,
            "forgetting": Forgetting(file="x", kl={role: [0.0] * N for role in REFERENCES}),
            "classes": ("a", "b"),
            "costs": {"a": {"b": 1.0}},
            "pairwise_scores": [PairwiseScore(id=s.id, slice="golden", value=1.0, people=1) for s in ours],
            "llm_judge_calibration": Calibration(
                n=100, min_kappa=0.4, kappa=1.0, kappa_low=0.9, kappa_high=1.0, choices=(LabelledChoice(judge=1, people=1),) * 100
            ),
        }
    )
    digest = "ab" * 32
    sample = review_sample(gate, made, digest)
    given = Given(by="anna", at=0.0, verdicts=dict.fromkeys(sample, True))
    return made, Review(report=digest, run_id=made.run_id, given=(given,))


@pytest.mark.parametrize("gate", [*OWN, *MEASURED], ids=lambda gate: gate.name)
def test_each_kind_evaluates(gate: Gate) -> None:
    [result] = evaluate_gates([gate], *excellent(gate))
    above = gate.at_most is not None and not gate.kind.value.lower_is_better  # a high score fails a ceiling
    assert (result.name, result.verdict) == (gate.name, Verdict.FAIL if above else Verdict.PASS), result.sentence
    [nothing] = evaluate_gates([gate], report([]))
    assert (nothing.name, nothing.verdict) == (gate.name, Verdict.NOT_ENOUGH_DATA)


@pytest.mark.parametrize("gate", [*OWN, *MEASURED], ids=lambda gate: gate.name)
def test_each_kind_is_planned_or_says_why_not(gate: Gate) -> None:
    plan = plan_gate(gate, [500], 0.04, 0.1, 0.3)
    if plan.power is None:
        assert plan.sentence.startswith("cannot be planned: ")
        assert plan.sentence.endswith(("before the first report", "how many would tell"))
    else:
        assert 0 <= plan.power <= 1
        assert plan.effect == (0.0 if gate.no_worse_than else 0.04)


@pytest.mark.parametrize("metric", [*KINDS, *row_values()])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons_the_table_does_not_allow_are_refused(metric: str, comparison: str) -> None:
    allowed = {name for gate in gates_on(metric, kind_of(metric)) for name in COMPARISONS if getattr(gate, name) is not None}
    if comparison not in allowed:
        margin = {"margin": 0.1} if comparison == "no_worse_than" else {}
        with pytest.raises(ValidationError, match="is compared with"):
            Gate.model_validate({"metric": metric, comparison: BOUNDS[comparison], **margin})


@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("group", ["golden", "held_out", "sets"])
def test_slices_the_table_does_not_name_are_refused(metric: str, group: str) -> None:
    name = {"golden": "drifted", "held_out": "held_out", "sets": "general"}[group]
    gate = gates_on(metric, KINDS[metric])[0].model_dump(exclude_defaults=True) | {"slice": name}
    loop = {
        "name": "l", "base_model": "m", "task": {"system_prompt": "s", "costs": {"a": {"b": 1}}, "temperature": 0.7},
        "dataset": {"seed": "s"},
        "golden_set": "g", "gates": [gate], "sets": [{"name": "general", "file": "f"}],
        "llm_judge": {"url": "http://judge", "model": "m", "labels": "l"},
        "golden_turns": "every" if metric == "whole_conversation" else "last",
    }  # fmt: skip
    if group in KINDS[metric].groups:
        assert LoopConfig.model_validate(loop).gates[0].slice == name
    else:
        words = f"{metric} has no value for rows of {name}" if KINDS[metric].groups else f"{metric} is compared over all rows"
        with pytest.raises(ValidationError, match=words):
            LoopConfig.model_validate(loop)


def test_bounds_that_no_row_can_clear_are_refused_by_the_value_of_the_table() -> None:
    ends = [(metric, kind_of(metric)) for metric in [*KINDS, *row_values()] if kind_of(metric).value.largest is not None]
    for metric, kind in ends:
        if "at_least" in kind.compared_with and not kind.value.lower_is_better:
            with pytest.raises(ValidationError, match=f"{metric} from 0 to {kind.value.largest:g}"):
                Gate(metric=metric, at_least=kind.value.largest)
    assert {metric for metric, _ in ends} >= {"exact_match", "f1", "parity", "human_review", "chrf.chrf"}


def test_schema_and_messages_name_every_kind_and_preset() -> None:
    schema = Gate.model_json_schema()["properties"]
    assert all(name in schema["metric"]["description"] for name in KINDS)
    assert schema["preset"]["anyOf"][0]["enum"] == list(RULES)
    for counts, field in (("pairs", "pairs"), ("sample", "sample")):
        assert {name for name in KINDS if name in schema[field]["description"]} == {n for n, kind in KINDS.items() if kind.counts == counts}
    with pytest.raises(ValidationError, match=", ".join(KINDS)):
        Gate(metric="bleu", better_than="production")
    with pytest.raises(ValidationError, match="'rouge_l', .* or 'f1'"):
        Gate(preset="rouge")
    metrics = LoopConfig.model_json_schema()["properties"]["metrics"]["description"]
    assert all(name in metrics for name in CATALOGUE)


@pytest.mark.parametrize("name", RULES)
def test_each_preset_stands_for_a_gate_whose_kind_has_an_average(name: str) -> None:
    gate = Gate(preset=name)
    stands_for = as_gate(gate)
    assert stands_for.kind.average is not None
    made, review = excellent(stands_for)
    assert isinstance(stands_for.kind.average(stands_for, made, "candidate"), float)
    [result] = evaluate_gates([gate], made, review)
    assert result.sentence.endswith(f"the usual reading, {RULES[name].statement}, would have given pass")


def test_a_metric_of_ones_own_has_a_value_of_which_nothing_is_known() -> None:
    assert row_value("mine:Own.value") == kind_of("mine:Own.value").value == RowValue(None)
    with pytest.raises(KeyError, match="^''$"):
        _ = Gate(preset="f1").kind


def test_a_loop_is_asked_what_a_kind_needs_of_it() -> None:
    loop = {
        "name": "l", "base_model": "m", "task": {"system_prompt": "s", "type": "text"}, "dataset": {"seed": "s"}, "golden_set": "g",
        "gates": [{"preset": "f1"}, {"metric": "llm_judge", "better_than": "production"}],
    }  # fmt: skip
    with pytest.raises(
        ValidationError, match="a text task has no classes; compare exact_match or another metric; an llm_judge gate needs `llm_judge`"
    ):
        LoopConfig.model_validate(loop)


def test_a_gate_on_sampled_answers_needs_a_temperature() -> None:
    loop = {
        "name": "l", "base_model": "m", "task": {"system_prompt": "s"}, "dataset": {"seed": "s"}, "golden_set": "g",
        "gates": [{"metric": SAMPLED, "no_worse_than": "production", "margin": 0.1}],
    }  # fmt: skip
    with pytest.raises(ValidationError, match="sampled_exact_match needs task.temperature above 0"):
        LoopConfig.model_validate(loop)
    LoopConfig.model_validate({**loop, "task": {"system_prompt": "s", "temperature": 0.7}})
