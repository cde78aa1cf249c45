"""Faults of the data: poisoned feedback, and a golden row among the training rows."""

from collections.abc import Sequence
from dataclasses import replace

from ftassets.domain.chat import embedded_text
from ftassets.domain.dataset.curation import Curated, curate
from ftassets.domain.dataset.rows import Example
from ftassets.drill.copied_loop import CopiedLoop
from ftassets.testing.hash_embedder import HashEmbedder

POISONED = 60  # corrections by one user, each with the answer of another request


def golden_row_in_the_seed(copy: CopiedLoop) -> tuple[bool, str]:
    """The first golden rows are put among the seed, word for word and with one more word."""
    leaked = [row.model_copy(update={"id": f"drill-{n}", "slice": None}) for n, row in enumerate(copy.golden[:5])]
    padded = [
        row.model_copy(
            update={
                "id": f"{row.id}-padded",
                "messages": (*row.messages[:-1], replace(row.messages[-1], content=f"{row.messages[-1].content} please")),
            }
        )
        for row in leaked
    ]
    found = _curated(copy, [*copy.seed, *leaked, *padded])
    return _kept_out(found, {row.id for row in (*leaked, *padded)}, "golden rows")


def poisoned_feedback(copy: CopiedLoop) -> tuple[bool, str]:
    """One user corrects many seed requests, each to the answer of another one; a cap says how many may count."""
    answers = sorted({row.completion for row in copy.seed})
    if len(answers) < 2:
        return False, "the seed has one answer alone: no wrong one can be made of it"
    wrong = [
        row.model_copy(
            update={
                "id": f"drill-{n}", "source": "correction", "user": "attacker", "request_id": f"drill-{n}", "version": "v", "at": 1.0,
                "completion": answers[(answers.index(row.completion) + 1) % len(answers)],
            }
        )
        for n, row in enumerate(copy.seed[:POISONED])
    ]  # fmt: skip
    cap = copy.loop.dataset.max_topic_rows_per_user  # which is how many rows of the seed one voice may replace
    return _kept_out(_curated(copy, [*copy.seed, *wrong]), {row.id for row in wrong}, "wrong corrections of one user", cap)


def _curated(copy: CopiedLoop, rows: Sequence[Example]) -> Curated:
    hashed, context = HashEmbedder(), copy.loop.dataset.context
    mine, theirs = (hashed.embed([embedded_text(row, context) for row in each]) for each in (rows, copy.golden))
    return curate(rows, mine, copy.golden, theirs, {}, copy.loop)


def _kept_out(found: Curated, injected: set[str], what: str, allowed: int = 0) -> tuple[bool, str]:
    left = [row.id for rows in found.splits.values() for row in rows if row.id in injected]
    if not found.rows:
        return False, "no rows were kept: see `ftassets check`"
    steps = ", ".join(f"{step.name} {step.dropped}" for step in found.funnel if step.dropped)
    limit = f" (the cap is {allowed})" if allowed else ""
    return len(left) <= allowed, f"{len(left)} of {len(injected)} {what} got into the dataset{limit}; dropped by: {steps or 'no step'}"
