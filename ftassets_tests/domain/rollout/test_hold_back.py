"""What a promotion gained."""

import numpy as np

from ftassets.config.loop import Rollout
from ftassets.domain.rollout.hold_back import gains
from ftassets.domain.traffic.lapses import LIMITED, Lapse, LapseCounts

POLICY = Rollout()


def alike(users: int, lapses: int) -> LapseCounts:
    """Users with an answer each."""
    return LapseCounts(users, users, lapses, users, lapses, lapses, 1)


def counted(users: int, rate: float) -> dict[Lapse, LapseCounts]:
    return {lapse: alike(users, round(users * rate)) for lapse in Lapse}


def test_a_gain_is_a_change_below_zero_and_its_interval_is_around_it() -> None:
    found = gains(counted(20_000, 0.05), counted(1_000, 0.15), POLICY)
    assert [each.metric for each in found] == [g.metric for g in POLICY.guardrails if g.metric not in ("latency", "first_token", "length")]
    assert len(found) == len(Lapse) - len(LIMITED)
    assert all(each.low < -0.1 < each.high < 0 for each in found)
    mirrored = gains(counted(1_000, 0.15), counted(20_000, 0.05), POLICY)
    assert all(a.low == -b.high and a.high == -b.low for a, b in zip(found, mirrored, strict=True))


def test_few_users_say_nothing() -> None:
    assert {(each.low, each.high) for each in gains(counted(1000, 0.1), counted(10, 0.1), POLICY)} == {(-np.inf, np.inf)}


def test_the_interval_misses_an_equal_version_at_most_as_often_as_stated_at_all_looks_together() -> None:
    rng, missed = np.random.default_rng(0), 0
    for _ in range(300):
        now, before = (rng.random(size) < 0.05 for size in (38_000, 2_000))
        looks = range(100, 2_001, 100)
        for look in looks:
            mine, theirs = alike(19 * look, int(now[: 19 * look].sum())), alike(look, int(before[:look].sum()))
            found = gains(dict.fromkeys(Lapse, mine), dict.fromkeys(Lapse, theirs), POLICY)
            [thumbs] = [each for each in found if each.metric == "thumbs_down"]
            if not thumbs.low <= 0 <= thumbs.high:
                missed += 1
                break
    assert missed <= 24, "at 5 % more have probability 0.01"
