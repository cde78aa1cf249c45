import pytest

from ftassets.domain.drift import DriftOrigin, Statistic, input_or_output

HELD = Statistic("novelty_mean", 0.1, 0.2, 0.5)
MOVED = Statistic("novelty_mean", 0.3, 0.2, 0.001)
INFORMS = Statistic("text_length", 0.3, 0.2, 0.001, informs_only=True)


@pytest.mark.parametrize(
    ("inputs", "outputs", "origin"),
    [
        ([HELD], [HELD, HELD], DriftOrigin.NONE),
        ([HELD, MOVED], [HELD], DriftOrigin.INPUT),
        ([HELD], [HELD, INFORMS], DriftOrigin.OUTPUT),
        ([MOVED], [INFORMS], DriftOrigin.BOTH),
        ([], [], DriftOrigin.NONE),
    ],
)
def test_origin_of_drift(inputs: list[Statistic], outputs: list[Statistic], origin: DriftOrigin) -> None:
    assert input_or_output(inputs, outputs) is origin
