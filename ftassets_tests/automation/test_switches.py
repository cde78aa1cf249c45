"""Which sensors start switched on."""

import dagster as dg
import pytest

from ftassets.automation import bootstrap, notices, reconcile, retrain, rollout
from ftassets_tests.automation.conftest import loop_of


@pytest.mark.parametrize("automation", [True, False])
def test_automation_off_leaves_only_the_truth_teller_on(automation: bool) -> None:
    loop = loop_of(automation=automation)
    on = {module.__name__.split(".")[-1] for module in (bootstrap, retrain, rollout, reconcile, notices) if starts(module.build(loop))}
    assert on == ({"bootstrap", "retrain", "rollout", "reconcile", "notices"} if automation else {"reconcile"})


def starts(sensor: dg.SensorDefinition) -> bool:
    return sensor.default_status is dg.DefaultSensorStatus.RUNNING
