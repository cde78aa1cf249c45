"""A candidate that alone does not answer is given up after its patience."""

import pytest

from ftassets.domain.rollout.dead_candidate import Absence, absence, given_up

C, D = "c" * 64, "d" * 64


@pytest.mark.parametrize(
    ("candidate", "answers", "production", "expected"),
    [
        (C, False, True, Absence(C, 10.0)),  # the same absence
        (D, False, True, Absence(D, 50.0)),  # another candidate begins anew
        (C, True, True, None),
        (C, False, False, None),  # the machine is what is wrong
        (None, False, True, None),
    ],
)
def test_an_absence_is_of_one_candidate_while_production_answers(
    candidate: str | None, answers: bool, production: bool, expected: Absence | None
) -> None:
    assert absence(Absence(C, 10.0), candidate, answers, production, 50.0) == expected


def test_it_is_given_up_after_the_patience_and_not_before() -> None:
    assert given_up(None, 180.0, 1e9, "why") is None
    assert given_up(Absence(C, 10.0), 180.0, 189.9, "why") is None
    said = given_up(Absence(C, 10.0), 180.0, 190.0, "it ended")
    assert said == "the candidate's model server has not answered for 3.0 min while production's does: it ended"
