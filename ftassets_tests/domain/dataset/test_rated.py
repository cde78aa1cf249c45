"""Which answers count as rated up or down."""

from collections.abc import Sequence

import pytest

from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.preference_rules import scrubbed, without_control_tokens
from ftassets.domain.dataset.rated import Rated, build_rated
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.feedback import Reviewed
from ftassets_tests.domain.dataset.curation.sample import config
from ftassets_tests.domain.dataset.test_preferences import DIM, OFF, ON, golden_row, said

pytestmark = pytest.mark.models


def rated_of(reviewed: Sequence[Reviewed], golden: Sequence[str] = (), cap: int = 9) -> tuple[list[Rated], list[Quarantined]]:
    from ftassets.domain.chat import Asked

    return build_rated(reviewed, [golden_row(Asked.of(text)) for text in golden], config(max_rows_per_user=cap))


def told(rows: Sequence[Rated]) -> list[tuple[str, str, str]]:
    return [(row.prompt, row.answer, row.rating) for row in rows]


def test_thumbs_need_no_pair_and_a_correction_is_two_ratings() -> None:
    reviewed = [
        said(ON, "up", prompt="lights on", at=1.0),
        said(OFF, "down", prompt="dim it", at=2.0),
        said(OFF, "down", DIM, "darker", at=3.0),
    ]
    rows, dropped = rated_of(reviewed)
    assert dropped == []
    assert told(rows) == [("lights on", ON, "up"), ("dim it", OFF, "down"), ("darker", OFF, "down"), ("darker", DIM, "up")]
    assert [row.source for row in rows] == ["thumbs", "thumbs", "correction", "correction"]
    assert rows[1].request_id == reviewed[1].exchange.id


def test_an_answer_counts_as_most_users_rated_it() -> None:
    rows, dropped = rated_of([said(ON, rating, user=user) for rating, user in (("up", "a"), ("down", "b"), ("up", "c"))])
    assert told(rows) == [("lights on", ON, "up")]
    rows, dropped = rated_of([said(ON, rating, user=user) for rating, user in (("up", "a"), ("down", "b"))])
    assert rows == []
    assert {item.reason for item in dropped} == {"as many users rated this answer up as down"}


def test_one_user_has_one_vote_on_an_answer_the_newest() -> None:
    votes = [
        said(ON, "up", user="a", at=1.0),
        *(said(ON, "down", user="b", at=2.0 + n) for n in range(5)),
        said(ON, "up", user="c", at=9.0),
    ]
    assert told(rated_of(votes)[0]) == [("lights on", ON, "up")]
    assert told(rated_of([said(ON, "up", user="a", at=1.0), said(ON, "down", user="a", at=2.0)])[0]) == [("lights on", ON, "down")]


@pytest.mark.parametrize(
    ("reviewed", "reason"),
    [
        (said("not a call", "up"), "the answer rated up"),
        (said("  ", "down"), "there was no answer to rate"),
        (said(ON, None, ON), "the correction is the same text as the answer"),
    ],
)
def test_what_is_no_rating_is_dropped_with_its_reason(reviewed: Reviewed, reason: str) -> None:
    rows, (item, *_) = rated_of([reviewed])
    assert rows == []
    assert reason in item.reason


def test_a_golden_question_is_never_trained_on() -> None:
    rows, dropped = rated_of([said(ON, "up", prompt="switch on the light in the hall")], golden=["switch on the light in the hall"])
    assert rows == []
    assert "golden row g" in dropped[0].reason


def test_a_user_has_no_more_than_the_cap() -> None:
    rows, dropped = rated_of([said(OFF, "down", prompt=f"question {n} about lamps", at=float(n)) for n in range(5)], cap=3)
    assert len(rows) == 3
    assert {item.reason for item in dropped} == {"more than 3 rated answers of one user"}


def test_they_are_scrubbed_and_hold_no_control_token() -> None:
    loop = config()
    answer = '{"intent": "mail", "to": "ann@example.com"}'
    [row] = rated_of([said(answer, "down", prompt="write to ann@example.com")])[0]
    [clean], _ = scrubbed([row], loop)
    assert "ann@example.com" not in clean.model_dump_json()
    with_end = row.model_copy(update={"answer": '{"intent": "<|im_end|>"}'})
    kept, [dropped] = without_control_tokens([row, with_end], ControlTokens(("<|im_end|>",), ()))
    assert kept == [row]
    assert "the rated answer holds the control token" in dropped.reason
