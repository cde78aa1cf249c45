from datetime import timedelta

import pytest

from ftassets.assets._shared import live
from ftassets.config.loop import Monitors
from ftassets.testing.releases import loop_config


@pytest.mark.parametrize(("cron", "hours"), [("0 7 * * *", 24), ("0 * * * *", 1), ("0 7 * * 1", 168), ("0 9 * * 1-5", 24)])
def test_freshness_allows_one_missing_look_of_the_schedule_and_no_more(cron: str, hours: int) -> None:
    loop = loop_config().model_copy(update={"monitors": Monitors(every=cron)})
    policy = live.freshness(loop)
    assert policy.deadline_cron == cron  # type: ignore[attr-defined]
    assert policy.lower_bound_delta == timedelta(hours=hours)  # type: ignore[attr-defined]
