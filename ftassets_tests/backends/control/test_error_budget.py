"""The decisions of a loop: written before a verdict is read, and never spent twice."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.control.error_budget import BudgetDamaged, read_ledger, start_ledger, within_budget
from ftassets.backends.control.releases import Releases, reports_of_releases
from ftassets.backends.signer.folder import FolderSigner
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts, control
from ftassets.domain.gates.error_budget import KEPT, YEAR, Start
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.attestation import statement
from ftassets.testing.releases import loop_config
from ftassets_tests.domain.gates.reports import report, rows

LOOP = loop_config()
NOW = 1_800_000_000.0


def about(candidate: str) -> EvalReport:
    return report(rows([1.0] * 9), rows([0.5] * 9)).model_copy(update={"loop": LOOP.name, "candidate": candidate})


def test_each_candidate_spends_and_the_same_evidence_spends_once(tmp_path: Path) -> None:
    kept, there = artifacts(Home(tmp_path)), control(Home(tmp_path))
    assert read_ledger(kept, there, LOOP.name).decisions == ()
    first = within_budget(kept, there, LOOP, about("one"), NOW).error_budget
    second = within_budget(kept, there, LOOP, about("two"), NOW + 1).error_budget
    third = within_budget(kept, there, LOOP, about("three"), NOW + 2).error_budget
    assert first is not None
    assert second is not None
    assert third is not None
    assert [each.level for each in (first, second, third)] == [0.05, 0.05, 0.0333]
    assert (third.decisions, third.spent) == (3, pytest.approx(0.1333))
    uses = [within_budget(kept, there, LOOP, about(name), NOW + 3).golden_uses for name in ("one", "three")]
    assert uses == [3, 3], "three candidates on this golden set, whoever had them evaluated"
    again = within_budget(kept, there, LOOP, about("two").model_copy(update={"run_id": "by hand"}), NOW + 3)
    assert again.error_budget == second
    assert [each.candidate for each in read_ledger(kept, there, LOOP.name).decisions] == ["one", "two", "three"]


def test_reports_at_once_never_spend_the_same_twice(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(
                lambda n: within_budget(artifacts(Home(tmp_path)), control(Home(tmp_path)), LOOP, about(f"candidate {n}"), NOW), range(24)
            )
        )
    levels = sorted((each.error_budget.level for each in made if each.error_budget), reverse=True)
    assert len(levels) == len(set(levels)) + 1, "the first two are at the gates' own level, each later one is lower"
    assert sum(levels) <= 0.2
    stored = [each.level for each in read_ledger(artifacts(Home(tmp_path)), control(Home(tmp_path)), LOOP.name).decisions]
    assert stored == levels


def test_a_loop_without_a_budget_records_nothing(tmp_path: Path) -> None:
    loop = loop_config(release={"bad_promotions_a_year": None})
    assert within_budget(artifacts(Home(tmp_path)), control(Home(tmp_path)), loop, about("one"), NOW) == about("one")
    assert not list(tmp_path.rglob("*.json"))


def test_what_is_stored_does_not_grow_for_ever(tmp_path: Path) -> None:
    kept, there = artifacts(Home(tmp_path)), control(Home(tmp_path))
    for week in range(KEPT + 20):
        made = within_budget(kept, there, LOOP, about(f"candidate {week}"), NOW + week * YEAR / 52)
    ledger = read_ledger(kept, there, LOOP.name)
    assert len(ledger.decisions) == KEPT + 1
    assert len(ledger.counted(NOW + week * YEAR / 52)) == 52
    assert made.golden_uses == KEPT + 1, "also those of more than a year ago"


def test_after_the_budget_was_lowered_the_same_evidence_takes_from_the_lower_one(tmp_path: Path) -> None:
    kept, there = artifacts(Home(tmp_path)), control(Home(tmp_path))
    within_budget(kept, there, LOOP, about("one"), NOW)
    lower = loop_config(release={"bad_promotions_a_year": 0.01})
    again, other, twice = (within_budget(kept, there, lower, about(name), NOW + 1).error_budget for name in ("one", "two", "one"))
    assert again is not None
    assert other is not None
    assert (again.level, other.level) == (0.0005, 0.000333), "a third of three quarters of what can be saved up, and so on"
    assert twice == again
    assert [each.level for each in read_ledger(kept, there, LOOP.name).decisions] == [0.05, 0.0005, 0.000333]


_NEGATIVE = '{"decisions": [{"key": "k", "candidate": "c", "golden_commit": "g", "at": 1.0, "level": -5.0, "left": 0.2}]}'


_LOSSES: list[tuple[str | None, str]] = [
    (None, "budgets/loop.json is gone: the decision of report {} was counted"),
    ('{"format": 1, "decisions": []}', "budgets/loop.json lacks decisions: the decision of report {} was counted"),
    ("the one before", "budgets/loop.json lacks decisions: it does not have that of the newest report, {}"),
]


@pytest.mark.parametrize(("content", "says"), _LOSSES)
def test_a_ledger_that_was_lost_or_is_older_than_a_report_is_no_full_budget(content: str | None, says: str, tmp_path: Path) -> None:
    kept, there = artifacts(Home(tmp_path)), control(Home(tmp_path))
    path = tmp_path / "budgets" / f"{LOOP.name}.json"
    within_budget(kept, there, LOOP, about("one"), NOW)
    before = path.read_text()
    digest = store_eval_report(kept, within_budget(kept, there, LOOP, about("two"), NOW + 1))
    within_budget(kept, there, LOOP, about("three"), NOW + 2)  # which was killed before its report was stored
    path.unlink() if content is None else path.write_text(before if content == "the one before" else content)
    expected = re.escape(says.format(digest[:12]).replace("loop.json", f"{LOOP.name}.json"))
    for _ in range(2):
        with pytest.raises(BudgetDamaged, match=rf"{expected}\. Restore it .* ftassets start-budget {LOOP.name} --reason TEXT"):
            within_budget(kept, there, LOOP, about("four"), NOW + 3)
    with pytest.raises(BudgetDamaged, match=expected):
        read_ledger(kept, there, LOOP.name)

    started = start_ledger(kept, there, LOOP.name, "anna", "the disk was lost", NOW + 4)
    assert started.starts[-1] == Start(at=NOW + 4, by="anna", reason="the disk was lost", report=digest)
    again = within_budget(kept, there, LOOP, about("four"), NOW + 5)
    assert again.error_budget is not None
    assert (again.error_budget.level, again.error_budget.decisions) == (0.05, 1)
    store_eval_report(kept, again)
    ledger = read_ledger(kept, there, LOOP.name)
    assert ([each.by for each in ledger.starts], len(ledger.decisions)) == (["anna"], 1)
    path.write_text(json.dumps(started.document()))
    with pytest.raises(BudgetDamaged, match="that of the newest report"):  # emptied with its own start
        within_budget(kept, there, LOOP, about("five"), NOW + 6)


def test_what_a_new_ledger_replaces_is_kept(tmp_path: Path) -> None:
    kept, there = artifacts(Home(tmp_path)), control(Home(tmp_path))
    within_budget(kept, there, LOOP, about("one"), NOW)
    path = tmp_path / "budgets" / f"{LOOP.name}.json"
    before = path.read_bytes()
    start_ledger(kept, there, LOOP.name, "anna", "first", NOW)
    path.write_bytes(path.read_bytes() + b"}")
    start_ledger(kept, there, LOOP.name, "ben", "second", NOW)
    start_ledger(kept, there, LOOP.name, "ben", "third", NOW)
    replaced = sorted((tmp_path / "budgets" / "replaced").iterdir())
    assert replaced[0].read_bytes() == before
    assert len(replaced) == 3
    assert [each.reason for each in read_ledger(kept, there, LOOP.name).starts] == ["second", "third"], "the first could not be read"


def test_a_release_tells_of_decisions_whose_reports_are_gone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    kept, there, signer = artifacts(home), control(home), FolderSigner(home.keys)
    made = within_budget(kept, there, LOOP, about("c" * 64), NOW)
    digest = store_eval_report(kept, made)
    releases = Releases(there, signer)
    releases.write(LOOP.name, "a" * 64, "release", statement(LOOP.name, "a" * 64, {}, {"adopted": True}))
    assert list(reports_of_releases(there, LOOP.name)) == [], "what was adopted was never evaluated"
    releases.write(LOOP.name, "c" * 64, "release", statement(LOOP.name, "c" * 64, {}, {"report_digest": digest}))
    (tmp_path / "budgets" / f"{LOOP.name}.json").unlink()
    (tmp_path / "reports" / LOOP.name / f"eval-{digest}.json").unlink()
    with pytest.raises(BudgetDamaged, match=f"version {'c' * 12} was released on report {digest[:12]}, which is gone too"):
        within_budget(kept, there, LOOP, about("d" * 64), NOW)


def test_a_loop_whose_reports_were_made_without_a_budget_begins_with_a_full_one(tmp_path: Path) -> None:
    kept, there = artifacts(Home(tmp_path)), control(Home(tmp_path))
    store_eval_report(kept, within_budget(kept, there, loop_config(release={"bad_promotions_a_year": None}), about("one"), NOW))
    first = within_budget(kept, there, LOOP, about("two"), NOW).error_budget
    assert first is not None
    assert first.level == 0.05


@pytest.mark.parametrize("damage", ["{", "{}", '{"decisions": [{"key": 1}]}', _NEGATIVE, '{"format": 99}'])
def test_a_damaged_file_stops_the_report_and_is_not_written_over(damage: str, tmp_path: Path) -> None:
    kept, there = artifacts(Home(tmp_path)), control(Home(tmp_path))
    within_budget(kept, there, LOOP, about("one"), NOW)
    path = tmp_path / "budgets" / f"{LOOP.name}.json"
    assert json.loads(path.read_text())["decisions"][0]["candidate"] == "one"
    path.write_text(damage)
    with pytest.raises(BudgetDamaged, match=r"budgets/\w+\.json cannot be read"):
        within_budget(kept, there, LOOP, about("two"), NOW)
    assert path.read_text() == damage
