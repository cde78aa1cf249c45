"""Rows that cannot be taught are counted, and too many of them refuse a training."""

import pytest

from ftassets.domain.training.left_out import TaughtRows, left_out_objection


@pytest.mark.parametrize(
    ("kept", "left_out", "most", "said"),
    [
        (9, {"too long": 1}, 0.1, None),
        (9, {"too long": 1, "no role": 1}, 0.1, r"2 of 11 rows are left out, more than train.max_left_out 0.1 (too long)"),
        (8, {"too long": 1, "no role": 2}, 0.1, r"(no role)"),
        (8, {"too long": 3}, 1.0, None),
        (0, {"too long": 3}, 1.0, "none of the rows can be taught"),
        (3, {}, 0.0, None),
    ],
)
def test_more_than_the_stated_share_is_refused(kept: int, left_out: dict[str, int], most: float, said: str | None) -> None:
    found = left_out_objection(TaughtRows([0] * kept, left_out), most)
    assert found is None if said is None else said in str(found)
