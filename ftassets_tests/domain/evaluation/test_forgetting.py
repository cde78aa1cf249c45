import pytest

from ftassets.domain.chat import question
from ftassets.domain.evaluation.forgetting import divergences
from ftassets.domain.evaluation.jobs import Prompt

PROMPTS = [Prompt(id=name, messages=question(name)) for name in ("a", "b")]


def test_values_are_in_the_order_of_the_prompts_whatever_the_order_of_the_rows() -> None:
    rows = [{"role": role, "id": name, "kl": kl} for name, role, kl in (("b", "base", 2.0), ("a", "base", 1.0), ("b", "production", 0.0))]
    with pytest.raises(KeyError, match="a"):
        divergences(rows, PROMPTS)
    assert divergences(rows[:2], PROMPTS) == {"base": [1.0, 2.0]}
    assert divergences([], PROMPTS) == {}
