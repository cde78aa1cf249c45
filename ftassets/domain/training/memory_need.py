"""How much memory and disk a training needs, before it runs."""

from dataclasses import dataclass

LIBRARIES = 0.8e9  # bytes of the process before it loads a model: torch, transformers, peft and trl, measured on Linux
_FORK = 0.15e9  # bytes of another process that shares them
_BF16, _FP32, _NF4 = 2.0, 4.0, 0.56  # bytes a weight; 4 bits and a scale per 64 weights, with its own scale per 256 (Dettmers et al. 2023)
_ADAM = 16.0  # bytes of a trained weight in fp32: itself, its gradient and two moments (Rajbhandari et al. 2020)
_AGREED = 8.0  # bytes of a trained weight for the gradient that several processes agree on, flat and in parts


@dataclass(frozen=True)
class Shape:
    """What of a model's shape decides how much memory and time it needs; `trained` are the weights that a method trains."""

    parameters: int
    trained: int
    layers: int
    hidden: int
    heads: int
    vocabulary: int

    @property
    def embeddings(self) -> int:
        """Weights of the input's embeddings, or of an output layer as large."""
        return self.vocabulary * self.hidden


def training_bytes(of: Shape, method: str, rows: int, tokens: int, answer: int, bf16: bool, checkpoints: bool, processes: int = 1) -> float:
    """Bytes at the peak of training and of the merge after it, for `rows` of `tokens` tokens in a forward pass, `answer` of them taught.

    An estimate to compare with a machine, within about a factor of two. `processes` share the rows and the frozen weights; trained
    weights with gradient and moments each has for itself. Activations are those of Korthikanti et al. (2022), eq. 2, for a transformer
    layer in 16 bits: s * b * h * (34 + 5 * a * s / h) bytes; with checkpoints 2 * s * b * h a layer, and one layer whole. Adapters keep
    them too, although the base is frozen. Logits of the taught tokens are counted three times in fp32. Merging holds the base and its
    copy in bf16.
    """
    computed = _BF16 if bf16 else _FP32
    trained = processes * (_ADAM + (_AGREED if processes > 1 else 0)) * of.trained
    if method == "full":
        weights = processes * (_BF16 if bf16 else 0) * of.parameters  # what a layer computes with; the weights themselves are trained
    elif method == "qlora":
        weights = _NF4 * (of.parameters - of.embeddings) + computed * of.embeddings
    else:
        weights = computed * (of.parameters + (of.embeddings if method == "prefix" else 0))  # its output layer is untied
    layer = tokens * rows * of.hidden * (34 + 5 * of.heads * tokens / of.hidden) * computed / _BF16
    kept = 2 * tokens * rows * of.hidden * of.layers + layer if checkpoints else of.layers * layer
    logits = 3 * _FP32 * rows * min(answer, tokens) * of.vocabulary
    return LIBRARIES + (processes - 1) * _FORK + max(weights + trained + kept + logits, 2 * _BF16 * of.parameters)


def training_disk(of: Shape, method: str) -> float:
    """Bytes that a training writes at most: a checkpoint while the one before it is there, and the merged copy in bf16.

    A checkpoint has the trained weights in fp32, their two moments, and the weights with the lowest validation loss.
    """
    untied = of.embeddings if method == "prefix" else 0
    return 2 * 4 * _FP32 * of.trained + _BF16 * (of.parameters + untied)
