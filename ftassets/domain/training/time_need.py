"""How long the steps of a training take, before it runs."""

from ftassets.domain.training.memory_need import Shape

REACHED = 0.5  # share of a machine's speed in matrix products that whole steps reach, measured on CPUs
_FORWARD, _INPUTS, _WEIGHTS = 2.0, 2.0, 2.0  # operations a weight and token: forward, gradient of the inputs, gradient of the weights


def training_seconds(of: Shape, method: str, tokens: int, answers: int, longest: int, speed: float, checkpoints: bool) -> float:
    """Seconds for `tokens` tokens of all epochs, `answers` of them taught, in rows of at most `longest`; `speed` in operations a second.

    Operations are counted as Kaplan et al. (2020), section 2.1, do: two a weight and token forward and four backward, of which a frozen
    weight takes half, and attention over the row. Only taught tokens reach the output layer.
    """
    frozen = _FORWARD + _INPUTS + (_FORWARD if checkpoints else 0)
    a_weight = frozen + (_WEIGHTS if method == "full" else 0)
    body = max(of.parameters - of.embeddings, 0)
    beside = 0 if method == "full" else (frozen + _WEIGHTS) * of.trained
    attention = 3 * 4 * of.layers * of.hidden * longest
    operations = tokens * (a_weight * body + beside + attention) + answers * a_weight * of.embeddings
    return operations / (REACHED * speed)


def reading_seconds(of: Shape, tokens: int, answers: int, longest: int, speed: float) -> float:
    """Seconds to read tokens forwards alone, as a reference does, by the same counts."""
    body = max(of.parameters - of.embeddings, 0) + of.trained
    operations = tokens * (_FORWARD * body + 4 * of.layers * of.hidden * longest) + answers * _FORWARD * of.embeddings
    return operations / (REACHED * speed)
