"""How much memory a training needs, before it runs."""

from dataclasses import dataclass

LIBRARIES = 0.8e9  # bytes of the process before it loads a model: torch, transformers, peft and trl, measured on Linux
_BF16, _FP32, _NF4 = 2.0, 4.0, 0.56  # bytes a weight; 4 bits and a scale per 64 weights, with its own scale per 256 (Dettmers et al. 2023)
_ADAM = 16.0  # bytes of a trained weight in fp32: itself, its gradient and two moments (Rajbhandari et al. 2020)


@dataclass(frozen=True)
class Shape:
    """What of a model's shape decides how much memory it needs; `trained` are the weights of the adapter."""

    parameters: int
    trained: int
    layers: int
    hidden: int
    heads: int
    vocabulary: int


def training_bytes(of: Shape, rows: int, tokens: int, answer: int, four_bits: bool, bf16: bool, checkpoints: bool) -> float:
    """Bytes at the peak of training and of the merge after it, for `rows` of `tokens` tokens in a forward pass, `answer` of them taught.

    An estimate to compare with a machine, within about a factor of two. Activations are those of Korthikanti et al. (2022), eq. 2, for a
    transformer layer in 16 bits: s * b * h * (34 + 5 * a * s / h) bytes; with checkpoints 2 * s * b * h a layer, and one layer whole. A
    LoRA layer keeps them too, although its base is frozen. Logits of the taught tokens are counted three times in fp32. Merging holds the
    base and its copy in bf16.
    """
    computed = _BF16 if bf16 else _FP32
    weights = (_NF4 if four_bits else computed) * of.parameters
    layer = tokens * rows * of.hidden * (34 + 5 * of.heads * tokens / of.hidden) * computed / _BF16
    kept = 2 * tokens * rows * of.hidden * of.layers + layer if checkpoints else of.layers * layer
    logits = 3 * _FP32 * rows * min(answer, tokens) * of.vocabulary
    return LIBRARIES + max(weights + _ADAM * of.trained + kept + logits, 2 * _BF16 * of.parameters)
