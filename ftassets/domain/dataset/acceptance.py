"""The blocking checks of a curated dataset, decided on the rows that curation kept, before the dataset is published."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.acceptance import Check
from ftassets.domain.canonical import digest_of
from ftassets.domain.dataset.curation import Curated, SizeVerdict
from ftassets.domain.dataset.curation.context import in_context
from ftassets.domain.dataset.curation.copies import requests
from ftassets.domain.dataset.curation.neighbours import alike
from ftassets.domain.dataset.curation.pii import with_personal_data
from ftassets.domain.dataset.curation.text import request_digest
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

MOST_PAIRS = 250_000_000  # of a held-out row and one that is trained on: some seconds, at 15,000 rows of each all there are

BLOCKING = {
    "rows_add_up": "Every row collected was kept or quarantined.",
    "schema": "Every answer has the form the task asks for.",
    "no_duplicates": "No two rows ask the same.",
    "pii_scrubbed": "The patterns for personal data and secrets find nothing in the rows kept; names are looked for only with pii_names.",
    "no_leak": "No row is near a golden row or a row of another split.",
    "enough_rows": "There are as many rows as the goal needs.",
}


def dataset_checks(
    loop: "LoopConfig",
    curated: Curated,
    collected: int,
    vectors: np.ndarray,
    places: Mapping[str, int],
    golden: Sequence[Example],
    golden_vectors: np.ndarray,
) -> dict[str, Check]:
    """One verdict for each name of BLOCKING.

    `vectors` (n, d) are unit vectors and `places` says where among them that of a row is, by its id; `golden_vectors` (m, d) are those of
    the golden rows. There is at least one row to train on.
    """
    rows = [row for members in curated.splits.values() for row in members]
    form = loop.task.form
    unsorted = next((step for step in ("exact", "conflicts") if step in loop.dataset.skip), None)
    personal = [row for row in rows if with_personal_data(row, form.closed)]
    return {
        "rows_add_up": Check(
            passed=collected == curated.rows + len(curated.dropped),
            sentence=f"{collected} collected, {curated.rows} kept, {len(curated.dropped)} quarantined",
        ),
        "schema": _without([row for row in rows if form.row_fault(row.completion) is not None], "an answer of another form"),
        "no_duplicates": _skipped(unsorted) if unsorted else _without(_repeated(rows), "the request of another row"),
        "pii_scrubbed": _skipped("pii") if "pii" in loop.dataset.skip else _without(personal, "text with the form of personal data"),
        "no_leak": _leak(loop, curated, vectors, places, golden, golden_vectors),
        "enough_rows": Check(passed=curated.preflight.verdict is not SizeVerdict.REFUSED, sentence=curated.preflight.sentence),
    }


def _without(bad: Sequence[Example], what: str) -> Check:
    named = f": {', '.join(row.id for row in bad[:5])}" if bad else ""
    return Check(passed=not bad, sentence=f"{len(bad) or 'no'} {'row has' if len(bad) < 2 else 'rows have'} {what}{named}")


def _skipped(step: str) -> Check:
    return Check(passed=True, sentence=f"not checked: dataset.skip names the step {step}")


def _repeated(rows: Sequence[Example]) -> list[Example]:
    seen: set[bytes] = set()
    repeated = []
    for row in rows:
        request = request_digest(row)
        if request in seen:
            repeated.append(row)
        seen.add(request)
    return repeated


def _leak(
    loop: "LoopConfig",
    curated: Curated,
    vectors: np.ndarray,
    places: Mapping[str, int],
    golden: Sequence[Example],
    golden_vectors: np.ndarray,
) -> Check:
    """Near pairs between what is trained on and what is tested on: the other splits, and the golden set.

    Of many held-out rows a part is compared, chosen by its ids, but with each row that is trained on: the step `split` looks for
    the near rows of all of them, by a faster way that may miss some.
    """
    train = curated.splits["train"]
    held = [row for name, members in curated.splits.items() if name != "train" for row in members]
    trained, others = (np.array([places[row.id] for row in rows], dtype=np.int64) for rows in (train, held))
    if "contamination" in loop.dataset.skip:
        golden = []
    limit = loop.dataset.near_duplicate
    tested = [in_context(row, loop) for row in golden]
    golden_leaks = [
        leak
        for rows, near in ((train, trained), (held, others))
        for leak in _copies(rows, tested, alike(vectors, near, golden_vectors[: len(golden)], limit), loop, framed=False)
    ]
    chosen = sorted(range(len(held)), key=lambda place: digest_of(held[place].id))[: max(1, MOST_PAIRS // len(train))]
    split_leaks = _copies(train, [held[place] for place in chosen], alike(vectors, trained, vectors[others[chosen]], limit), loop)
    leaks = split_leaks + golden_leaks
    part = f" of {len(chosen):,} of the {len(held):,} held-out rows" if len(chosen) < len(held) else ""
    text = f"{len(split_leaks)} near pairs across splits{part}, {len(golden_leaks)} with the golden set at cosine {limit:g}"
    return Check(passed=not leaks, sentence=text + "".join(f"; {one} and {other}" for one, other in leaks[:5]))


def _copies(
    rows: Sequence[Example],
    others: Sequence[Example],
    pairs: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    loop: "LoopConfig",
    framed: bool = True,
) -> list[tuple[str, str]]:
    """Ids of the pairs that are alike by their vectors and of which the cosine says whether they are copies; `framed`: of one frame."""
    found = [(i, j) for left, right, _ in pairs for i, j in zip(left.tolist(), right.tolist(), strict=True)]
    asked = requests([row for i, j in found for row in (rows[i], others[j])])
    asked = asked if framed else asked.without_frame()
    places = 2 * np.arange(len(found))
    told = asked.comparable(loop.dataset.jaccard, places, places + 1)
    return [(rows[i].id, others[j].id) for (i, j), copy in zip(found, told.tolist(), strict=True) if copy]
