"""How much a row counts in the loss when classes are of different size."""

from collections import Counter
from collections.abc import Sequence


def balanced(classes: Sequence[str]) -> list[float]:
    """For each row n / (k * n_c): n rows, k classes, n_c rows of its class. All classes count alike in sum, and rows 1 on average.

    The usual weights of King and Zeng (2001), as scikit-learn's class_weight="balanced" has them.
    """
    sizes = Counter(classes)
    return [len(classes) / (len(sizes) * sizes[each]) for each in classes]
