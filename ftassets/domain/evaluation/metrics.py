"""What is known of the numbers a gate compares: which have a value a row, how far they range, and which are better when lower."""

# our metrics with a value for each row, and the names of these values; the others say something of all rows together only
ROW_VALUES = {
    "bertscore": ("precision", "recall", "f1"),
    "chrf": ("chrf",),
    "distinct": ("distinct_1", "distinct_2"),
    "exact_match": ("exact_match",),
    "field_accuracy": ("field_accuracy",),
    "output_length": ("mean",),
    "perplexity": ("nll",),
    "refusal_rate": ("refusal_rate",),
    "rouge": ("rouge1", "rouge2", "rougeL"),
    "validity": ("validity",),
}
RIGHT_OR_WRONG = {"exact_match", "exact_match.exact_match", "refusal_rate.refusal_rate", "validity.validity"}
LOWER_IS_BETTER = {"output_length.mean", "perplexity.nll", "refusal_rate.refusal_rate"}
RELATIVE = {"output_length.mean"}  # the margin is a share of production's mean: characters have no upper end
_UNBOUNDED = RELATIVE | {"perplexity.nll"}  # nats have none either, but a difference of them means the same everywhere


def scale(metric: str) -> float | None:
    """Largest value a row can have, the smallest being 0; None where there is none or it is not known, as for the user's own metric."""
    if metric in ("exact_match", "field_accuracy", "f1", "parity", "human_review"):
        return 1.0
    name, _, value = metric.rpartition(".")
    if value not in ROW_VALUES.get(name, ()) or metric in _UNBOUNDED:
        return None
    return 100.0 if name == "chrf" else 1.0
