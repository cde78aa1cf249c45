"""How much a row counts in the loss when classes, or ratings, are of different number."""

from collections import Counter
from collections.abc import Sequence


def balanced(classes: Sequence[str]) -> list[float]:
    """For each row n / (k * n_c): n rows, k classes, n_c rows of its class. All classes count alike in sum, and rows 1 on average.

    The usual weights of King and Zeng (2001), as scikit-learn's class_weight="balanced" has them.
    """
    sizes = Counter(classes)
    return [len(classes) / (len(sizes) * sizes[each]) for each in classes]


def rating_weights(up: int, down: int) -> tuple[float, float]:
    """Weights of answers rated up and of answers rated down, at most 1: both count alike in sum.

    KTO wants their sums in a ratio of 1 to 4/3 (Ethayarajh et al. 2024, equation 9), and TRL's trainer warns outside of it.
    """
    if not up or not down:
        return 1.0, 1.0
    return min(1.0, down / up), min(1.0, up / down)
