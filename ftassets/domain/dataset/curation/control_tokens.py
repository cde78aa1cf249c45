"""Texts with a control token of the base model's tokenizer or a marker of its template: requests are counted, answers not taught."""

from collections import Counter
from typing import TYPE_CHECKING

from ftassets.domain.dataset.control_tokens import escape_of, tokens_in
from ftassets.domain.dataset.curation.step import Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def count_control_tokens(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows with a control token in the answer, which no model can write as text; count those with one in the request.

    These stay as they are: training, evaluation and the gateway break the token wherever a request is made into tokens.
    """
    if pool.control_tokens is None:
        return StepOutcome(skipped="the tokenizer of the base model is not on this machine")
    escape = escape_of(pool.control_tokens)
    dropped: dict[int, str] = {}
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for i in pool.index:
        row = pool.rows[i]
        if taught := escape.found_in_answer(row.completion):
            dropped[i] = f"the answer holds the control token {taught[0]!r}"
            continue
        for token in tokens_in(row, escape):
            counts[name := f"requests with {token}, read as text"] += 1
            examples.setdefault(name, f"row {row.id}")
    return StepOutcome(dropped, counts=dict(counts.most_common()), examples=examples)
