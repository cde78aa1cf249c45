"""Feedback on a text task against what others say of the same request."""

from typing import Any

import numpy as np
import pytest

from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question
from ftassets.domain.dataset.curation.answer_disagreement import VOICES
from ftassets.domain.dataset.curation.label_disagreement import doubt_labels
from ftassets.domain.dataset.curation.step import StepOutcome
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import LOOP, at_angles, pool, spread

TEXT = LoopConfig.model_validate({**LOOP.model_dump(), "task": {"type": "text", "system_prompt": "Answer."}})
RIGHT = "Your refund is on its way and arrives within five days."
REWORDED = "Your refund is on its way, and it arrives within five days."
WRONG = "Refunds are not possible, sorry."


def said(number: int, answer: str, user: str | None, source: str = "correction") -> Example:
    return Example(id=f"r{number}", messages=question(f"where is my refund {number}"), completion=answer, source=source, user=user)


def doubt(rows: list[Example], angles: list[float] | None = None, **gone: Any) -> StepOutcome:
    """The step on rows whose requests are near-identical (a degree apart) unless `angles` says otherwise."""
    vectors = np.concatenate([at_angles(*(angles or [0.5 * n for n in range(len(rows))])), spread(40, topic=5, seed=1)])
    others = [said(100 + n, f"answer number {n} about something else entirely", None, "seed") for n in range(40)]
    given = pool([*rows, *others], vectors=vectors, **gone)
    given.index = [i for i in given.index if i not in given.dropped]
    return doubt_labels(given, TEXT)


def test_an_answer_against_three_others_to_the_same_request_is_dropped() -> None:
    rows = [said(0, RIGHT, "a"), said(1, REWORDED, "b"), said(2, RIGHT.upper(), None, "seed"), said(3, WRONG, "m")]
    outcome = doubt(rows)
    assert outcome.dropped == {3: "3 others give near-identical requests one other answer, 0 this one"}
    assert outcome.counts == {"requests that others asked too": 3}


@pytest.mark.parametrize(
    "rows",
    [
        [said(0, RIGHT, "a"), said(1, RIGHT, "b"), said(2, WRONG, "m")],  # two voices are no majority to go by
        [said(0, RIGHT, "a"), said(1, RIGHT, "a"), said(2, RIGHT, "a"), said(3, WRONG, "m")],  # one user is one voice
        [said(n, RIGHT, f"a{n}") for n in range(3)] + [said(3 + n, WRONG, f"m{n}") for n in range(3)],  # as many on either side
        [said(n, f"{n} is my answer, {word} and nothing else", f"a{n}") for n, word in enumerate(("yes", "maybe", "never", "later"))],
    ],
)
def test_without_a_clear_majority_nothing_is_dropped(rows: list[Example]) -> None:
    assert not doubt(rows).dropped


def test_three_against_one_is_the_other_way_round_for_the_larger_side() -> None:
    rows = [said(n, RIGHT, f"a{n}") for n in range(3)] + [said(3 + n, WRONG, f"m{n}") for n in range(6)]
    assert doubt(rows).dropped.keys() == {0, 1, 2}


def test_other_requests_do_not_vote() -> None:
    rows = [said(n, RIGHT, f"a{n}") for n in range(VOICES)] + [said(9, WRONG, "m")]
    assert not doubt(rows, [0, 1, 2, 60]).dropped
    assert doubt(rows, [0, 1, 2, 3]).dropped.keys() == {3}


def test_copies_that_were_dropped_vote_and_other_dropped_rows_do_not() -> None:
    rows = [said(n, RIGHT, f"a{n}") for n in range(VOICES)] + [said(9, WRONG, "m")]
    assert doubt(rows, dropped={0: "exact", 1: "near"}).dropped.keys() == {3}
    assert not doubt(rows, dropped={0: "exact", 1: "pii"}).dropped


def test_what_people_of_the_loop_wrote_is_not_doubted() -> None:
    rows = [said(n, RIGHT, f"a{n}") for n in range(5)] + [said(9, WRONG, None, "seed")]
    assert not doubt(rows).dropped
