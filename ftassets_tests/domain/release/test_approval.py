"""Who may say yes, to what, and what an override forgives."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import Release
from ftassets.domain.release.approval import (
    Approval,
    NotAllowed,
    Override,
    approval_objections,
    approval_statement,
    entitled,
    override_objections,
    override_statement,
    read_approval,
    read_override,
    role_of,
    still_blocked,
)

RULES = Release(people={"anna": "lead", "ben": "engineer"}, approve=["lead", "engineer"], override=["lead"])
APPROVAL = Approval(
    loop="voice", version="a" * 64, report_digest="e" * 64, name="anna", role="lead", reason="looks right", issued_at=1000
)  # fmt: skip
OVERRIDE = Override(**APPROVAL.model_dump(), gates={"latency": "FAIL", "judge": "NOT ENOUGH DATA"}, expires_at=2000)
NAMES = st.sampled_from(["anna", "ben", "carl"])
ROLES = st.sampled_from(["lead", "engineer", "intern"])
RULE = st.builds(
    Release, people=st.dictionaries(NAMES, ROLES), approve=st.lists(ROLES, max_size=2), override=st.lists(ROLES, max_size=2)
)  # fmt: skip
VERDICTS = st.sampled_from(["PASS", "FAIL", "NOT ENOUGH DATA"])


def test_statements_come_back_as_they_were_and_not_as_each_other() -> None:
    assert read_approval(approval_statement(APPROVAL)) == APPROVAL
    assert read_override(override_statement(OVERRIDE)) == OVERRIDE
    with pytest.raises(ValueError, match="approval"):
        read_override(approval_statement(APPROVAL))
    with pytest.raises(ValueError, match="override"):
        read_approval(override_statement(OVERRIDE))


def test_the_subjects_are_version_and_report() -> None:
    subjects = json.loads(approval_statement(APPROVAL))["subject"]
    assert {each["name"]: each["digest"]["sha256"] for each in subjects} == {"version": "a" * 64, "report": "e" * 64}


@given(RULE, NAMES)
def test_only_a_known_person_with_a_named_role_may(rules: Release, name: str) -> None:
    role = rules.people.get(name)
    for what, roles in (("approve", rules.approve), ("override", rules.override)):
        if role in roles:
            assert role_of(name, rules, what) == role  # type: ignore[arg-type]
        else:
            with pytest.raises(NotAllowed, match=r"release\."):
                role_of(name, rules, what)  # type: ignore[arg-type]


def test_a_refusal_says_what_the_loop_file_needs() -> None:
    with pytest.raises(NotAllowed, match="release.people of the loop file: add a line such as `carl: ROLE`"):
        role_of("carl", RULES, "approve")
    with pytest.raises(NotAllowed, match=r"ben is engineer, and release.override of the loop file holds \['lead'\]"):
        role_of("ben", RULES, "override")


@given(RULE, NAMES, ROLES)
def test_an_approval_counts_by_the_rules_of_today(rules: Release, name: str, role: str) -> None:
    said = APPROVAL.model_copy(update={"name": name, "role": role})
    counts = rules.people.get(name) == role and role in rules.approve
    assert (approval_objections(said, "voice", "a" * 64, "e" * 64, rules) == []) == counts


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        (("triage", "a" * 64, "e" * 64), "for loop 'voice', not 'triage'"),
        (("voice", "b" * 64, "e" * 64), "for version aaaaaaaaaaaa, not bbbbbbbbbbbb"),
        (("voice", "a" * 64, "f" * 64), "for report eeeeeeeeeeee, not ffffffffffff"),
    ],
)
def test_an_approval_is_for_one_version_on_one_report(about: tuple[str, str, str], reason: str) -> None:
    [why] = approval_objections(APPROVAL, *about, RULES)
    assert reason in why


def test_who_may_approve_may_not_override() -> None:
    assert entitled(OVERRIDE, RULES) == []
    ben = OVERRIDE.model_copy(update={"name": "ben", "role": "engineer"})
    assert "release.override" in entitled(ben, RULES)[0]
    assert "signed as lead" in entitled(OVERRIDE.model_copy(update={"name": "ben"}), RULES.model_copy(update={"override": ["engineer"]}))[0]


@given(
    st.dictionaries(st.sampled_from(["latency", "judge", "accuracy"]), VERDICTS),
    st.dictionaries(st.sampled_from(["latency", "judge", "accuracy"]), VERDICTS, min_size=1),
    st.floats(0, 3000),
)
def test_every_verdict_but_pass_must_be_named_as_it_is(verdicts: dict[str, str], gates: dict[str, str], now: float) -> None:
    override = OVERRIDE.model_copy(update={"gates": gates})
    covered = all(verdict == "PASS" or gates.get(gate) == verdict for gate, verdict in verdicts.items())
    why = override_objections(override, "voice", "a" * 64, "e" * 64, verdicts, now)
    assert (why == []) == (covered and now < 2000)


@given(st.dictionaries(st.sampled_from(["latency", "judge", "accuracy"]), st.sampled_from(["failed", "not evaluated"])), st.booleans())
def test_only_named_and_evaluated_gates_are_forgiven(refused: dict[str, str], overridden: bool) -> None:
    evaluated = [gate for gate, reason in refused.items() if reason == "failed"]
    left = still_blocked(refused, evaluated, OVERRIDE if overridden else None)
    for gate, reason in refused.items():
        assert (gate not in left) == (overridden and gate in OVERRIDE.gates and reason == "failed")
    assert left.items() <= refused.items()


@pytest.mark.parametrize("change", [{"reason": ""}, {"reason": "x" * 501}, {"report_digest": ""}, {"colour": "red"}])
def test_an_approval_that_says_nothing_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Approval.model_validate({**APPROVAL.model_dump(), **change})


def test_an_override_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="gates"):
        Override.model_validate({**OVERRIDE.model_dump(), "gates": {}})
