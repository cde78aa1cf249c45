"""Whether a report may be made of these rows at all."""

from collections import Counter
from collections.abc import Iterable, Sequence

from ftassets.domain.dataset.curation.text import request_digest
from ftassets.domain.dataset.rows import Example

_SHOWN = 5


def input_objections(golden: Sequence[Example], train: Iterable[Example]) -> list[str]:
    """Why no verdict may rest on these golden rows: none, ids that are there twice, requests the candidate was trained on.

    Near copies of golden rows are curation's business; an exact one is an answer learned by heart.
    """
    if not golden:
        return ["the golden set has no rows: write some and materialize golden_set"]
    twice = [row_id for row_id, times in Counter(row.id for row in golden).items() if times > 1]
    trained = {request_digest(row) for row in train}
    seen = [row.id for row in golden if request_digest(row) in trained]
    objections = []
    if twice:
        objections.append(f"the golden set has more than one row {some(twice)}: give each an id of its own")
    if seen:
        objections.append(f"the candidate was trained on the requests of golden rows {some(seen)}: curate and train again without them")
    return objections


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    return f"{', '.join(names[:_SHOWN])}{f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''}"
