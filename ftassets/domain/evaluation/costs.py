"""What a wrong answer costs: `task.costs`, by expected class and the class that the answer names."""

from collections.abc import Mapping

Costs = Mapping[str, Mapping[str, float]]


def largest(costs: Costs) -> float:
    """The most that an answer can cost, which is the end of the scale."""
    return max(cost for of in costs.values() for cost in of.values())


def cost_of(costs: Costs, expected: str, predicted: str) -> float:
    """Cost of an answer: 0 if it names the right class; of a mistake that is not listed the most of any, as it was not thought of."""
    return 0.0 if predicted == expected else costs.get(expected, {}).get(predicted, largest(costs))
