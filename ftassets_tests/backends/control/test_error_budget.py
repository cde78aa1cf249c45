"""The decisions of a loop: written before a verdict is read, and never spent twice."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.backends.control.error_budget import BudgetDamaged, read_ledger, within_budget
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.domain.gates.error_budget import YEAR
from ftassets.domain.gates.report import EvalReport
from ftassets.testing.releases import loop_config
from ftassets_tests.domain.gates.reports import report, rows

LOOP = loop_config()
NOW = 1_800_000_000.0


def about(candidate: str) -> EvalReport:
    return report(rows([1.0] * 9), rows([0.5] * 9)).model_copy(update={"candidate": candidate})


def test_each_candidate_spends_and_the_same_evidence_spends_once(tmp_path: Path) -> None:
    there = control(Home(tmp_path))
    assert read_ledger(there, LOOP.name).decisions == ()
    first = within_budget(there, LOOP, about("one"), NOW).error_budget
    second = within_budget(there, LOOP, about("two"), NOW + 1).error_budget
    third = within_budget(there, LOOP, about("three"), NOW + 2).error_budget
    assert first is not None
    assert second is not None
    assert third is not None
    assert [each.level for each in (first, second, third)] == [0.05, 0.05, 0.0333]
    assert (third.decisions, third.spent) == (3, pytest.approx(0.1333))
    uses = [within_budget(there, LOOP, about(name), NOW + 3).golden_uses for name in ("one", "three")]
    assert uses == [3, 3], "three candidates on this golden set, whoever had them evaluated"
    again = within_budget(there, LOOP, about("two").model_copy(update={"run_id": "by hand"}), NOW + 3)
    assert again.error_budget == second
    assert [each.candidate for each in read_ledger(there, LOOP.name).decisions] == ["one", "two", "three"]


def test_reports_at_once_never_spend_the_same_twice(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: within_budget(control(Home(tmp_path)), LOOP, about(f"candidate {n}"), NOW), range(24)))
    levels = sorted((each.error_budget.level for each in made if each.error_budget), reverse=True)
    assert len(levels) == len(set(levels)) + 1, "the first two are at the gates' own level, each later one is lower"
    assert sum(levels) <= 0.2
    stored = [each.level for each in read_ledger(control(Home(tmp_path)), LOOP.name).decisions]
    assert stored == levels


def test_a_loop_without_a_budget_records_nothing(tmp_path: Path) -> None:
    loop = loop_config(release={"bad_promotions_a_year": None})
    assert within_budget(control(Home(tmp_path)), loop, about("one"), NOW) == about("one")
    assert not list(tmp_path.rglob("*.json"))


def test_what_is_stored_is_of_one_year(tmp_path: Path) -> None:
    there = control(Home(tmp_path))
    for week in range(120):
        within_budget(there, LOOP, about(f"candidate {week}"), NOW + week * YEAR / 52)
    assert len(read_ledger(there, LOOP.name).decisions) == 52


def test_after_the_budget_was_lowered_the_same_evidence_is_judged_as_strictly_as_any_other(tmp_path: Path) -> None:
    there = control(Home(tmp_path))
    within_budget(there, LOOP, about("one"), NOW)
    lower = loop_config(release={"bad_promotions_a_year": 0.01})
    again, other = (within_budget(there, lower, about(name), NOW + 1).error_budget for name in ("one", "two"))
    assert again is not None
    assert other is not None
    assert again.level == other.level == 0.000666
    assert read_ledger(there, LOOP.name).decisions[0].level == 0.05, "which was spent"


_NEGATIVE = '{"decisions": [{"key": "k", "candidate": "c", "golden_commit": "g", "at": 1.0, "level": -5.0, "left": 0.2}]}'


@pytest.mark.parametrize("damage", ["{", "{}", '{"decisions": [{"key": 1}]}', _NEGATIVE, '{"format": 99}'])
def test_a_damaged_file_stops_the_report_and_is_not_written_over(damage: str, tmp_path: Path) -> None:
    there = control(Home(tmp_path))
    within_budget(there, LOOP, about("one"), NOW)
    path = tmp_path / "budgets" / f"{LOOP.name}.json"
    assert json.loads(path.read_text())["decisions"][0]["candidate"] == "one"
    path.write_text(damage)
    with pytest.raises(BudgetDamaged, match=r"budgets/\w+\.json cannot be read"):
        within_budget(there, LOOP, about("two"), NOW)
    assert path.read_text() == damage
