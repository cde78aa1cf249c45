"""Whether drift came in with the queries or out with the answers."""

from collections.abc import Iterable
from enum import StrEnum

from ftassets.domain.drift.comparison import Statistic


class DriftOrigin(StrEnum):
    """Which side moved. Answers follow queries, so BOTH is first of all a matter of the queries."""

    NONE = "NONE"
    INPUT = "INPUT"
    OUTPUT = "OUTPUT"
    BOTH = "BOTH"


def input_or_output(inputs: Iterable[Statistic], outputs: Iterable[Statistic]) -> DriftOrigin:
    """Which side has a statistic above its threshold, alarming or informing.

    Inputs that hold while outputs move are OUTPUT drift: the model changed, for example its base, its settings or its prompt.
    """
    moved_in, moved_out = (any(statistic.above for statistic in side) for side in (inputs, outputs))
    if moved_in and moved_out:
        return DriftOrigin.BOTH
    return DriftOrigin.INPUT if moved_in else DriftOrigin.OUTPUT if moved_out else DriftOrigin.NONE
