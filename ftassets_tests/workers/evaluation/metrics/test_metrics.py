import inspect
import json
import math
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftassets.domain.evaluation.answer_form import Classification, Text, ToolCall
from ftassets.domain.evaluation.metrics import CATALOGUE, row_value
from ftassets.domain.evaluation.scoring import score
from ftassets.errors import InvalidInput
from ftassets.workers.evaluation.metrics.loading import load

OF_ANSWERS = sorted(name for name, metric in CATALOGUE.items() if not metric.of_likelihoods)

ON = json.dumps({"intent": "TurnOn", "area": "hall"})
OFF = json.dumps({"intent": "TurnOff"})


def compute(name: str, cache: Path, answers: list[str], expected: list[str] | None = None, **settings: Any) -> dict[str, float]:
    """A metric's values on a few texts."""
    return load(name, cache).compute(predictions=answers, references=expected, **settings)


@pytest.mark.parametrize("name", OF_ANSWERS)
def test_a_metric_keeps_its_word_on_right_and_wrong_answers(name, tmp_path):
    expected = [ON, OFF, ON]
    right, wrong = (compute(name, tmp_path, answers, expected) for answers in (expected, ["I cannot do that", "", "no no no"]))
    assert right.keys() == wrong.keys()
    assert right != wrong
    assert all(isinstance(value, float) and math.isfinite(value) for value in [*right.values(), *wrong.values()])


@pytest.mark.parametrize("name", OF_ANSWERS)
def test_gates_may_name_exactly_the_values_that_each_row_has(name, tmp_path):
    metric, expected = load(name, tmp_path), [ON, OFF, ON]
    answers = [ON, "I cannot do that", ""]
    rows = metric.rows(answers, expected) if hasattr(metric, "rows") else {}
    assert tuple(rows) == tuple(CATALOGUE[name].row_values)
    for value, each in rows.items():
        assert len(each) == 3
        known = row_value(f"{name}.{value}")
        assert all(0 <= number <= (known.largest or math.inf) + 1e-5 for number in each)
        assert not known.right_or_wrong or set(each) <= {0.0, 1.0}
        if name != "chrf":  # the corpus's is no mean
            assert compute(name, tmp_path, answers, expected)[value] == pytest.approx(sum(each) / 3)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_says_which_metrics_need_likelihoods(name, tmp_path):
    assert ("nll" in inspect.signature(load(name, tmp_path)._compute).parameters) == CATALOGUE[name].of_likelihoods


VALUES = {"bertscore": 3, "f1": 4}


@pytest.mark.parametrize("name", ["bertscore", "exact_match", "f1", "field_accuracy", "validity"])
def test_right_answers_have_the_share_1(name, tmp_path):
    assert list(compute(name, tmp_path, [ON, OFF], [ON, OFF]).values()) == pytest.approx([1.0] * VALUES.get(name, 1), abs=1e-5)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_right_answers_have_the_score_100(name, tmp_path):
    assert compute(name, tmp_path, [ON, OFF], [ON, OFF]) == {name: pytest.approx(100.0)}


CALLS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 1), max_size=3).map(json.dumps)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(CALLS | st.just("no call"), CALLS), min_size=1, max_size=5), form=st.sampled_from([ToolCall(), Text()]))
def test_match_and_fields_are_the_means_of_the_row_scores(tmp_path, pairs, form):
    answers, expected = map(list, zip(*pairs, strict=True))
    scores = [score("row", "", answer, wanted, form) for answer, wanted in pairs]
    match = compute("exact_match", tmp_path, answers, expected, form=form)["exact_match"]
    assert match == pytest.approx(sum(each.exact for each in scores) / len(scores))
    fields = compute("field_accuracy", tmp_path, answers, expected, form=form)["field_accuracy"]
    assert fields == pytest.approx(sum(each.fields for each in scores) / len(scores))


def test_f1_of_a_hand_counted_table(tmp_path):
    said = [{"intent": name} for name in ("a", "a", "b", "b", "c")] + [{"area": "hall"}]
    wanted = [{"intent": name} for name in ("a", "a", "a", "b", "b", "b")]
    values = compute("f1", tmp_path, [json.dumps(each) for each in said], [json.dumps(each) for each in wanted])
    a, b = 2 * 1 * (2 / 3) / (1 + 2 / 3), 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)
    assert values == {
        "micro": pytest.approx(3 / 6),
        "macro": pytest.approx((a + b) / 2),
        "class:a": pytest.approx(a),
        "class:b": pytest.approx(b),
    }


def test_f1_and_match_of_labels(tmp_path):
    said, wanted = ["billing", " account\n", "Billing", "one\ntwo"], ["billing", "account", "billing", "account"]
    values = compute("f1", tmp_path, said, wanted, form=Classification())
    # of 2 each: 1 of 1 said is right, half is found
    assert values == {
        "micro": 0.5,
        "macro": pytest.approx(2 / 3),
        "class:account": pytest.approx(2 / 3),
        "class:billing": pytest.approx(2 / 3),
    }
    assert compute("exact_match", tmp_path, said, wanted, form=Classification()) == {"exact_match": 0.5}


def test_f1_takes_the_field_it_is_told(tmp_path):
    answers = [json.dumps({"tool": name}) for name in "ab"]
    assert compute("f1", tmp_path, answers, answers, form=ToolCall("tool"))["class:b"] == 1.0
    with pytest.raises(ValueError, match='no answer names a class: each must be a JSON object whose field "intent" names the class'):
        compute("f1", tmp_path, answers, answers)


def test_validity_goes_by_the_task(tmp_path):
    answers = [ON, "a sentence", "[1]", " "]
    assert compute("validity", tmp_path, answers)["validity"] == 0.25
    assert compute("validity", tmp_path, answers, form=Text())["validity"] == 0.75
    assert compute("validity", tmp_path, answers, form=Text(), truncated=[True] * 4)["validity"] == 0
    assert compute("validity", tmp_path, answers, form=Classification(frozenset({"a sentence", "x"})))["validity"] == 0.25


def test_calls_have_a_value_for_each_question(tmp_path):
    schema = json.dumps({"properties": {"area": {"type": "string"}}})
    form = ToolCall(schema=schema, calls="unordered")
    answers = [f"[{OFF}, {ON}]", ON, '{"intent": "TurnOn", "area": 5}', "sure", ON]
    rows = load("tool_calls", tmp_path).rows(answers, [f"[{ON}, {OFF}]", f"[{ON}, {OFF}]", ON, ON, ON], form, [False] * 4 + [True])
    assert rows == {
        "schema_valid": [1, 1, 0, 0, 0],
        "name": [1, 0, 1, 0, 0],
        "arguments": [1, 0, 0, 0, 0],
        "name_calls": [1, 0.5, 1, 0, 0],
        "arguments_calls": [1, 0.5, 0, 0, 0],
        "right_calls": [1, 0.5, 0, 0, 0],
    }
    with pytest.raises(InvalidInput, match="tool_calls does not apply"):
        load("tool_calls", tmp_path).rows(["a"], ["a"], Classification())


def test_chrf_of_a_row_is_that_of_sacrebleu_on_its_scale(tmp_path):
    answers, expected = ["the lamp in the hall is on", "nein", ""], ["the lamp in the hall is off", "ja", "ja"]
    found = load("chrf", tmp_path).rows(answers, expected)["chrf"]
    assert found == pytest.approx(
        [sacrebleu.CHRF().sentence_score(*pair).score for pair in zip(answers, ([e] for e in expected), strict=True)]
    )
    assert 80 < found[0] < 100 == row_value("chrf.chrf").largest


def test_rouge_of_hand_counted_words(tmp_path):
    values = compute("rouge", tmp_path, ["the light is on"], ["the light was switched on"])
    # 3 of 4 and 3 of 5 words; 1 of 3 and 1 of 4 pairs; the longest common subsequence is "the light on"
    assert values == {"rouge1": pytest.approx(2 / 3), "rouge2": pytest.approx(2 / 7), "rougeL": pytest.approx(2 / 3)}


def test_perplexity_weighs_rows_by_their_tokens_and_a_uniform_guess_has_the_number_of_choices(tmp_path):
    metric = load("perplexity", tmp_path)
    known = {"nll": [math.log(8) * 3, math.log(2)], "tokens": [3, 1]}
    assert metric.compute(predictions=["a", "b"], **known) == {"perplexity": pytest.approx(2 ** ((3 * 3 + 1) / 4))}
    rows = metric.rows(["a", "b"], **known)
    assert tuple(rows) == tuple(CATALOGUE["perplexity"].row_values)
    assert rows["nll"] == pytest.approx([math.log(8), math.log(2)])


def test_refusals_are_counted(tmp_path):
    assert compute("refusal_rate", tmp_path, ["I\N{RIGHT SINGLE QUOTATION MARK}m sorry, no", ON, OFF, ON])["refusal_rate"] == 0.25


def test_output_length_is_in_characters(tmp_path):
    values = compute("output_length", tmp_path, ["ü" * length for length in range(101)])
    assert values == {"mean": 50.0, "median": 50.0, "p95": 95.0}


def test_repeated_text_is_seen_within_and_among_answers(tmp_path):
    values = compute("distinct", tmp_path, ["one two one two", "one two one two", "hall", "a b c d"])
    assert values == {"distinct_1": pytest.approx(3 / 4), "distinct_2": pytest.approx((2 / 3 + 2 / 3 + 1 + 1) / 4), "answers": 0.75}
    assert compute("distinct", tmp_path, ["कि की"])["distinct_1"] == 1


def test_bertscore_puts_a_paraphrase_above_another_topic_and_counts_an_empty_answer_as_0(tmp_path):
    expected = ["switch on the light in the kitchen"]
    near, far = (compute("bertscore", tmp_path, [text], expected)["f1"] for text in ("turn the kitchen lamp on", "the stock market fell"))
    assert far < near < 1
    assert compute("bertscore", tmp_path, [*expected, " "], expected * 2)["f1"] == pytest.approx(0.5, abs=1e-5)


def test_a_control_token_is_no_free_word_for_bertscore(tmp_path):
    expected = ["turn on the lamp in the hall"]
    marked, broken, right = (
        compute("bertscore", tmp_path, [text], expected)["f1"] for text in (f"{expected[0]} [SEP]", f"{expected[0]} [ SEP]", expected[0])
    )
    assert marked == pytest.approx(broken, abs=1e-6)
    assert marked < right - 0.05
