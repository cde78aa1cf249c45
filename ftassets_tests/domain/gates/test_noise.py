from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.evaluation.second_answers import SecondAnswers
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.noise import Flip, flips, noise_sentence, rests_on_answers, with_second_answers
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.statistics import share_interval
from ftassets_tests.domain.gates.reports import report, rows

BETTER = Gate(metric="exact_match", better_than="production")
ROUGE = Gate(metric="rouge.rougeL", no_worse_than="production", margin=0.1)
FIXED = Gate(metric="exact_match", at_least=0.5)


def twice(production: list[Score], second: list[Score], differing: int = 0) -> EvalReport:
    candidate = rows([1.0] * len(production))
    answers = SecondAnswers(scores=second, differing=differing, answers="a.parquet", seconds=5, of_seconds=50)
    return report(candidate, production).model_copy(update={"second_answers": answers})


def test_verdicts_are_those_of_a_report_with_the_second_answers() -> None:
    production = rows([0.0] * 5 + [1.0] * 45)  # the candidate wins five rows and loses none: the fewest that pass
    second = rows([1.0] + [0.0] * 4)
    found = twice(production, second)
    assert flips([BETTER, FIXED], found) == [Flip("exact_match_better", "PASS", "NOT ENOUGH DATA")]
    by_hand = report(rows([1.0] * 50), rows([1.0] + [0.0] * 4 + [1.0] * 45))
    assert evaluate_gates([BETTER, ROUGE], with_second_answers(found)) == evaluate_gates([BETTER, ROUGE], by_hand)


def test_rows_without_a_second_answer_and_values_that_are_not_of_answers_stay() -> None:
    first = [score.model_copy(update={"values": {**score.values, "perplexity.nll": 2.0}}) for score in rows([0.2, 0.4, 0.6])]
    second = rows([0.9])
    changed = with_second_answers(twice(first, second)).scores["production"]
    assert [score.values["rouge.rougeL"] for score in changed] == [0.9, 0.4, 0.6]
    assert [score.values["perplexity.nll"] for score in changed] == [2.0] * 3
    assert [score.exact for score in changed] == [True, False, True]


def test_the_sentence_counts_answers_rows_verdicts_and_time() -> None:
    found = twice(rows([0.0] * 5 + [1.0] * 45), rows([1.0] + [0.0] * 4), differing=2)
    assert found.second_answers is not None
    text = noise_sentence([BETTER, FIXED], found, found.second_answers, flips([BETTER, FIXED], found))
    low, high = share_interval(2, 5)
    assert text == (
        f"production answered 5 golden rows twice: 2 answers differ (40.0%, 95 % interval {low:.1%} to {high:.1%}), 1 became right and 0 "
        "wrong. Verdicts that change with the second answers: exact_match_better: PASS, then NOT ENOUGH DATA (1 of 2 gates compare answers "
        "with production's). It took 5 s of the evaluation's 50 s (10%)"
    )
    same = twice(rows([1.0] * 5), rows([1.0] * 5))
    assert same.second_answers is not None
    assert "second answers: none (" in noise_sentence([BETTER], same, same.second_answers, flips([BETTER], same))


def test_which_gates_rest_on_productions_answers() -> None:
    latency = Gate(metric="latency_p95", no_worse_than="production", margin=0.2)
    preset, any_of = Gate(preset="f1"), Gate(any_of=[BETTER, Gate(metric="f1", better_than="production")])
    assert [rests_on_answers(gate) for gate in (BETTER, ROUGE, FIXED, latency, preset, any_of)] == [True, True, False, False, True, True]
