"""Which metrics a gate may name, and which rows a report may be made of."""

import pytest

from ftassets.domain.chat import Message, question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.gates.fit import missing_metrics
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.inputs import input_objections


def better(metric: str) -> Gate:
    return Gate(metric=metric, better_than="production")


def test_metrics_the_loop_lists_and_its_own_need_no_word() -> None:
    gates = [better(name) for name in ("rouge.rougeL", "exact_match", "f1", "mine.metrics:Own.value")]
    assert missing_metrics([*gates, Gate(preset="latency"), Gate(preset="rouge_l")], ["rouge", "mine.metrics:Own"]) == []


@pytest.mark.parametrize(
    ("gate", "metrics", "words"),
    [
        (better("rouge.rougeL"), ["chrf"], "rouge.rougeL needs 'rouge' among the loop's `metrics`"),
        (Gate(preset="bertscore_f1"), [], "bertscore.f1 needs 'bertscore'"),
        (Gate(any_of=[better("exact_match"), better("rouge.rouge1")]), [], "rouge.rouge1 needs 'rouge'"),
        (better("mine:Own.value"), ["rouge"], "mine:Own.value needs 'mine:Own'"),
        (better("bleu.bleu"), ["bleu", "chrf"], "bleu.bleu has no value for each row"),
        (better("rouge.rougeM"), ["rouge"], "rouge.rougeM has no value for each row"),
        (better("f1.macro"), ["f1"], "write f1 alone, which is a gate metric of its own"),
        (Gate(metric="distinct.answers", at_least=0.5), ["distinct"], "distinct.answers has no value for each row"),
    ],
)
def test_others_are_refused_with_the_names_that_work(gate: Gate, metrics: list[str], words: str) -> None:
    problems = missing_metrics([gate], metrics)
    assert len(problems) == 1
    assert words in problems[0]
    assert "exact_match, field_accuracy, f1" in problems[0]
    assert ("chrf.chrf" in problems[0]) == ("chrf" in metrics)


def example(name: str, prompt: str) -> Example:
    return Example(id=name, messages=question(prompt), completion="{}")


def test_rows_no_verdict_may_rest_on() -> None:
    golden = [example("g1", "dim it"), example("g2", "open it"), example("g3", "close it")]
    assert input_objections(golden, [example("g1", "another request")]) == []
    assert "has no rows" in input_objections([], golden)[0]
    assert "more than one row g1: give each" in input_objections([*golden, golden[0]], [])[0]
    (trained,) = input_objections(golden, [example("t", "close it"), example("u", "dim it")])
    assert "golden rows g1, g3:" in trained
    chat = tuple(Message(role=role, content=text) for role, text in (("user", "shall I?"), ("assistant", "do it?"), ("user", "yes")))  # type: ignore[arg-type]
    asked = example("g4", "yes").model_copy(update={"messages": chat})
    assert input_objections([asked], [example("t", "yes"), example("u", asked.prompt)]) == []
    assert "golden rows g4:" in input_objections([asked], [asked.model_copy(update={"id": "v"})])[0]
    (many,) = input_objections([example(f"g{i}", str(i)) for i in range(9)], [example("t", str(i)) for i in range(9)])
    assert "g4 and 4 more" in many
