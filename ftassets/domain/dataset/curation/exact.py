"""One row per request and answer."""

from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import answer_keys, precedence
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def drop_exact(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows whose request and answer, once normalised, are those of a row that ranks higher; among equals the first one stays."""
    answers = dict(zip(pool.index, answer_keys([pool.rows[i] for i in pool.index], loop.task.form).tolist(), strict=True))
    first: dict[tuple[bytes, int], int] = {}
    copies = {}
    for _, _, i in sorted([(*precedence(pool.rows[i]), i) for i in pool.index]):
        kept = first.setdefault((pool.request_digest(i), answers[i]), i)
        if kept != i:
            copies[i] = kept
    confirmed = {kept for i, kept in copies.items() if _is_another_label(pool.rows[i], pool.rows[kept])}
    counts = {"labels that a second annotator gave too": len(confirmed)} if confirmed else {}
    return StepOutcome({i: f"same request as {pool.rows[kept].id}" for i, kept in copies.items()}, counts=counts, copies=copies)


def _is_another_label(row: Example, kept: Example) -> bool:
    return row.source == kept.source == "label" and row.request_id == kept.request_id and row.user != kept.user
