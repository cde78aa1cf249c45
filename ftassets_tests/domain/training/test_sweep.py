import numpy as np
import pytest

from ftassets.config.loop import Sweep, Train
from ftassets.domain.training.sweep import Tried, best_of, recipe_with, space_of


def tried(losses: np.ndarray, tokens: np.ndarray) -> list[Tried]:
    return [Tried(number, row.tolist(), tokens.tolist()) for number, row in enumerate(losses)]


def test_a_recipe_keeps_what_is_not_searched_and_alpha_its_ratio():
    train = Train(lora_r=16, lora_alpha=32, epochs=2)
    other = recipe_with(train, {"learning_rate": 0.001, "lora_r": 8, "epochs": 3})
    assert (other.learning_rate, other.lora_r, other.lora_alpha, other.epochs) == (0.001, 8, 16, 3)
    assert other.model_copy(update={"learning_rate": train.learning_rate, "lora_r": 16, "lora_alpha": 32, "epochs": 2}) == train
    assert recipe_with(train, {}) == train


def test_the_space_is_around_the_loops_own_recipe():
    space = space_of(Train(learning_rate=1e-3), Sweep())
    assert (space.lowest, space.highest) == pytest.approx((2e-4, 5e-3))
    assert (space.lora_r, space.epochs) == ([8, 16, 32], [1, 2, 3])
    assert space_of(Train(method="full"), Sweep(learning_rate=[1e-6, 1e-5])).lora_r == ()


def test_the_optimism_is_that_of_many_repetitions():
    """Ten recipes that are equal in truth: how far the lowest loss is below the truth, on average over new rows."""
    dice = np.random.default_rng(3)
    recipes, rows, spread = 10, 60, 0.5
    tokens = np.full(rows, 8)
    below, told = [], []
    for repetition in range(60):
        losses = tokens * (1 + dice.normal(0, spread, (recipes, rows)))
        best = best_of(0, tried(losses, tokens), seed=repetition)
        below.append(1 - best.loss)
        told.append(best.optimism)
    assert np.mean(below) == pytest.approx(1.54 * spread / np.sqrt(rows), rel=0.15)  # expected lowest of ten normal values: -1.54
    assert np.mean(told) == pytest.approx(np.mean(below), rel=0.35)
    assert np.mean(told) > 0.5 * np.mean(below)


def test_equal_recipes_are_seldom_found_better_and_a_real_gain_is():
    dice = np.random.default_rng(5)
    rows = 60
    tokens = dice.integers(4, 12, rows)
    found = []
    for gain in (0.0, 0.5):
        better = 0
        for repetition in range(60):
            losses = tokens * (2 + dice.normal(0, 0.5, rows) + dice.normal(0, 0.4, (8, rows)))
            losses[3] -= gain * tokens
            best = best_of(0, tried(losses, tokens), seed=repetition)
            better += best.better
            assert best.at_least < best.gain or best.number == 0
        found.append(better / 60)
    assert found[0] <= 0.1
    assert found[1] >= 0.9


def test_losses_are_weighted_by_tokens():
    tokens = np.array([1, 9])
    best = best_of(7, [Tried(7, [5.0, 9.0], tokens.tolist()), Tried(8, [1.0, 18.0], tokens.tolist())])
    assert (best.number, best.of, best.loss) == (7, 2, 1.4)
    assert best.gain == best.at_least == 0
    assert not best.better


def test_without_the_loops_own_nothing_is_proposed():
    with pytest.raises(ValueError, match="loop's own recipe"):
        best_of(0, [Tried(1, [1.0], [1])])
