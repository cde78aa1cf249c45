import pytest

from ftassets.domain.training.overfit import kept_loss, overfit_note, stops_early


def numbered(*losses: float) -> list[tuple[int, float]]:
    return list(enumerate(losses, start=1))


@pytest.mark.parametrize(
    ("losses", "patience", "stops"),
    [
        ((3.0, 2.0, 1.0), 1, False),
        ((3.0, 2.0, 2.0), 1, True),
        ((3.0, 2.0, 2.5), 2, False),
        ((3.0, 2.0, 2.5, 2.1), 2, True),
        ((3.0, 2.0, 2.5, 1.9), 2, False),
        ((3.0, 2.0, 2.5, 1.9, 1.8, 1.9), 2, False),
        ((3.0,), 1, False),
        ((), 1, False),
    ],
)
def test_a_training_stops_when_no_look_within_its_patience_was_better(losses, patience, stops):
    assert stops_early(numbered(*losses), patience) is stops


def test_the_loss_of_the_weights_that_are_kept():
    assert kept_loss(numbered(3.0, 1.0, 2.0), 2) == 1.0
    assert kept_loss(numbered(3.0, 1.0, 2.0), None) == 2.0
    assert kept_loss([], None) is kept_loss([], 2) is None


def test_a_validation_loss_that_rose_is_told_with_its_steps():
    assert overfit_note([]) is overfit_note(numbered(3.0, 2.0)) is overfit_note(numbered(3.0, 2.0, 2.05)) is None
    assert "rose from 2.000 at step 2 to 2.500 at step 4" in (overfit_note(numbered(3.0, 2.0, 2.2, 2.5)) or "")
