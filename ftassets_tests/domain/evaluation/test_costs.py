import pytest

from ftassets.domain.evaluation.costs import cost_of, largest

COSTS = {"cancel": {"refund": 5.0, "status": 0.0}, "refund": {"cancel": 20.0}}


@pytest.mark.parametrize(
    ("expected", "predicted", "cost"),
    [
        ("cancel", "cancel", 0),
        ("status", "status", 0),
        ("cancel", "refund", 5),
        ("cancel", "status", 0),
        ("refund", "cancel", 20),
        ("refund", "status", 20),  # nobody thought of it: as dear as any
        ("status", "cancel", 20),
        ("cancel", "(none)", 20),
    ],
)
def test_what_an_answer_costs(expected: str, predicted: str, cost: float) -> None:
    assert cost_of(COSTS, expected, predicted) == cost
    assert cost <= largest(COSTS) == 20
