"""`ftassets plan --rollout`: how long each decision takes, as JSON and as a table."""

import json
import re

import pytest

from ftassets.cli.commands.plan_rollout import describe, run
from ftassets.config.loop import Rollout
from ftassets.domain.rollout.rules import RULES
from ftassets.errors import InvalidInput
from ftassets.testing.releases import loop_config


def test_a_plan_has_steps_proofs_and_the_rules_of_others() -> None:
    plan = run(loop_config(), 24_000)
    assert json.loads(json.dumps(plan)) == plan
    assert [step["weight"] for step in plan["rollout"]] == [5, 20, 50]
    assert [proof["metric"] for proof in plan["proofs"]] == [guardrail.metric for guardrail in Rollout().guardrails]
    assert plan["rules"].keys() == {rule.name for rule in RULES}
    text = describe(plan)
    assert text.startswith("rollout at 24,000 requests a day, production fails 1.00% of them")
    for rule in RULES:
        assert rule.name in text
    assert max(map(len, text.splitlines())) <= 200


def test_the_time_of_shadow_is_planned() -> None:
    assert run(loop_config(), 24_000)["shadow"] is None
    loop = loop_config(rollout={"shadow": {"sample": 0.5, "min_requests": 500}})
    plan = run(loop, 24_000)
    assert json.loads(json.dumps(plan)) == plan
    assert 505 <= plan["shadow"]["copies"] <= 512
    assert plan["shadow"]["days"] == pytest.approx(plan["shadow"]["copies"] / 12_000)
    assert 0.05 < plan["shadow"]["caught"] < 0.9
    assert re.search(r"before it, shadow: 5\d\d copies in 1\.0 h; a candidate with 3x errors is rolled back before", describe(plan))
    assert "raise rollout.shadow.sample or max_time" in describe(run(loop, 400))
    assert "rollout.shadow" not in describe(plan)
    more = run(loop_config(rollout={"shadow": {"min_requests": 5000}}), 24_000)
    assert more["shadow"]["caught"] > 0.99


def test_more_traffic_takes_less_time() -> None:
    slow, quick = (run(loop_config(), traffic)["proofs"] for traffic in (1000, 24_000))
    assert all(each["days"] < other["days"] for each, other in zip(quick, slow, strict=True) if other["days"])
    assert "> 1 year" in describe(run(loop_config(), 10))
    assert "(assumed: " in describe(run(loop_config()))


def test_without_a_canary_step_nothing_is_planned() -> None:
    text = describe(run(loop_config(rollout={"steps": [100]}), 1000))
    assert text.startswith("the rollout has no canary step")
    with pytest.raises(InvalidInput, match="0 requests a day"):
        run(loop_config(), 0)
