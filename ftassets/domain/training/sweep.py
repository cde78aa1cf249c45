"""A small search for a better recipe: what is tried, and what the best of several is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ftassets.config.loop import Sweep, Train
from ftassets.domain.training.method import unread

RESAMPLES = 2000
CONFIDENCE = 0.95
_RATES = 5.0  # the loop's learning rate, divided and multiplied by it, bounds the search unless the loop file says else


@dataclass(frozen=True)
class Space:
    """Learning rates from `lowest` to `highest` on a logarithmic scale; ranks and epochs are choices, none where one is not searched."""

    lowest: float
    highest: float
    lora_r: Sequence[int]
    epochs: Sequence[float]


def space_of(train: Train, sweep: Sweep) -> Space:
    """What a sweep searches around the loop's own recipe."""
    lowest, highest = sweep.learning_rate or (train.learning_rate / _RATES, train.learning_rate * _RATES)
    return Space(lowest, highest, () if "lora_r" in unread(train.method) else sweep.lora_r, sweep.epochs)


def recipe_with(train: Train, choice: Mapping[str, float]) -> Train:
    """The loop's recipe with the learning rate, rank and epochs of a choice; lora_alpha keeps its ratio to the rank."""
    changes: dict[str, float] = {name: choice[name] for name in ("learning_rate", "epochs") if name in choice}
    if "lora_r" in choice:
        rank = int(choice["lora_r"])
        changes |= {"lora_r": rank, "lora_alpha": max(1, round(train.lora_alpha / train.lora_r * rank))}
    return train.model_copy(update=changes)


@dataclass(frozen=True)
class Tried:
    """A recipe that was trained to its end. `losses` are nats of each validation row, the same rows in each, of `tokens` taught tokens."""

    number: int
    losses: Sequence[float]
    tokens: Sequence[int]

    @property
    def loss(self) -> float:
        """Nats a token."""
        return sum(self.losses) / sum(self.tokens)


@dataclass(frozen=True)
class Best:
    """The recipe of the lowest loss among `of` recipes; losses are nats a token.

    `optimism`: how much lower its loss is than on new rows, since it was chosen by these. `gain`: how much lower than the loop's own,
    without the optimism; `at_least` is its one-sided 95 % lower bound. `better`: whether that bound is above 0.
    """

    number: int
    of: int
    loss: float
    optimism: float
    gain: float
    at_least: float

    @property
    def better(self) -> bool:
        return self.at_least > 0


def best_of(own: int, tried: Sequence[Tried], seed: int = 0) -> Best:
    """The best of recipes, `own` being the number of the loop's own among them. Raises ValueError without that one.

    The optimism is the bootstrap's (Efron 1983, "Estimating the error rate of a prediction rule"): of rows drawn again, the mean
    of the loss on all rows of the recipe that is best on the draw, less its loss on the draw.
    """
    numbers = [each.number for each in tried]
    if own not in numbers:
        raise ValueError("the loop's own recipe was not trained to its end")
    losses = np.array([each.losses for each in tried], float)
    tokens = np.array(tried[0].tokens, float)
    count = losses.shape[1]
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    drawn = draws @ losses.T / (draws @ tokens)[:, None]
    whole = losses.sum(axis=1) / tokens.sum()
    best, mine = int(np.argmin(whole)), numbers.index(own)
    chosen = np.argmin(drawn, axis=1)
    optimism = max(0.0, float(np.mean(whole[chosen] - drawn[np.arange(RESAMPLES), chosen])))
    gains = drawn[:, mine] - drawn[:, best]
    discount = 0.0 if best == mine else optimism
    return Best(
        number=numbers[best],
        of=len(tried),
        loss=float(whole[best]),
        optimism=optimism,
        gain=float(whole[mine] - whole[best]) - discount,
        at_least=float(np.quantile(gains, 1 - CONFIDENCE)) - discount,
    )
