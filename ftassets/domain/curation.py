"""From raw examples to a training set: every row is kept in one split or quarantined with its step and reason."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ftassets.domain.loop import LoopConfig
from ftassets.domain.rows import Example, Quarantined
from ftassets.domain.scoring import label_of, parse_call

SPLITS = ("train", "validation", "test")
NEIGHBOURS = 10
DISAGREEMENT = 0.6  # share of the nearest rows that must agree on another class before a user's label is doubted
FEEDBACK = ("correction", "liked")


@dataclass
class Curated:
    """Rows per split, what was dropped, and the funnel: (step, rows left after it)."""

    splits: dict[str, list[Example]]
    dropped: list[Quarantined] = field(default_factory=list)
    funnel: list[tuple[str, int]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(map(len, self.splits.values()))


def normalised(text: str) -> str:
    """Text as duplicates are compared: NFKC, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def curate(
    rows: Sequence[Example],
    vectors: np.ndarray,
    golden: Sequence[Example],
    golden_vectors: np.ndarray,
    previous: Mapping[str, str],
    loop: LoopConfig,
) -> Curated:
    """Run the steps in order.

    `vectors` (n, d) and `golden_vectors` (m, d) are unit vectors of the prompts; `previous` maps the ids of rows of the
    last dataset to their split, which they keep.
    """
    steps = Curated({}, funnel=[("collected", len(rows))])
    index = list(range(len(rows)))

    def apply(step: str, reasons: Mapping[int, str]) -> None:
        steps.dropped.extend(Quarantined(f"{step}:{rows[i].id}", reasons[i], rows[i].prompt) for i in index if i in reasons)
        index[:] = [i for i in index if i not in reasons]
        steps.funnel.append((step, len(index)))

    apply("answer format", {i: "the answer is not a JSON object" for i in index if parse_call(rows[i].completion) is None})
    apply("user cap", _over_cap(rows, index, loop.dataset.max_rows_per_user))
    apply("exact duplicate", _duplicates(rows, index))
    apply("golden overlap", _overlap(rows, vectors, index, golden, golden_vectors, loop.dataset.near_duplicate))
    apply("label disagreement", _disagreement(rows, vectors, index, loop.task.label))
    steps.splits = _split(rows, vectors, index, previous, loop)
    return steps


def _over_cap(rows: Sequence[Example], index: Sequence[int], cap: int) -> dict[int, str]:
    seen: Counter[str] = Counter()
    reasons = {}
    for i in index:
        user = rows[i].user
        if rows[i].source in FEEDBACK and user:
            seen[user] += 1
            if seen[user] > cap:
                reasons[i] = f"more than {cap} rows of one user"
    return reasons


def _duplicates(rows: Sequence[Example], index: Sequence[int]) -> dict[int, str]:
    # what people wrote or corrected outranks what the model answered, and the newest word counts
    order = sorted(
        index,
        key=lambda i: (("seed", "correction").index(rows[i].source) if rows[i].source in ("seed", "correction") else 2, -(rows[i].at or 0)),
    )
    first: dict[str, int] = {}
    reasons = {}
    for i in order:
        kept = first.setdefault(normalised(rows[i].prompt), i)
        if kept != i:
            reasons[i] = f"same prompt as {rows[kept].id}"
    return reasons


def _overlap(
    rows: Sequence[Example], vectors: np.ndarray, index: Sequence[int], golden: Sequence[Example], golden_vectors: np.ndarray, limit: float
) -> dict[int, str]:
    if not golden or not index:
        return {}
    texts = {normalised(g.prompt): g.id for g in golden}
    similarity = vectors[list(index)] @ golden_vectors.T
    nearest = similarity.argmax(axis=1)
    reasons = {}
    for position, i in enumerate(index):
        if same := texts.get(normalised(rows[i].prompt)):
            reasons[i] = f"is golden row {same}"
        elif similarity[position, nearest[position]] >= limit:
            reasons[i] = f"cosine {similarity[position, nearest[position]]:.3f} to golden row {golden[nearest[position]].id}"
    return reasons


def _disagreement(rows: Sequence[Example], vectors: np.ndarray, index: Sequence[int], label: str) -> dict[int, str]:
    """Feedback rows whose nearest neighbours agree on another class (kNN label-error detection)."""
    if len(index) <= NEIGHBOURS:
        return {}
    labels = np.array([label_of(rows[i].completion, label) for i in index])
    chosen = vectors[list(index)]
    reasons = {}
    for position, i in enumerate(index):
        if rows[i].source not in FEEDBACK:
            continue
        similarity = chosen @ chosen[position]
        similarity[position] = -1.0
        near = labels[np.argpartition(-similarity, NEIGHBOURS)[:NEIGHBOURS]]
        common, count = Counter(near.tolist()).most_common(1)[0]
        if common != labels[position] and count >= DISAGREEMENT * NEIGHBOURS:
            reasons[i] = f"labelled {labels[position]}, but {count} of its {NEIGHBOURS} nearest rows are {common}"
    return reasons


def _split(
    rows: Sequence[Example], vectors: np.ndarray, index: Sequence[int], previous: Mapping[str, str], loop: LoopConfig
) -> dict[str, list[Example]]:
    """Whole groups into train, validation and test: rows of one template or near-identical prompts never part."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    chosen = vectors[list(index)]
    left, right = (
        np.nonzero(np.triu(chosen @ chosen.T >= loop.dataset.near_duplicate, k=1)) if index else (np.empty(0, int), np.empty(0, int))
    )
    first: dict[str, int] = {}
    same = [(first.setdefault(rows[i].group or rows[i].id, p), p) for p, i in enumerate(index)]
    edges = np.array([*zip(left, right, strict=True), *same], dtype=int).reshape(-1, 2)
    _, component = connected_components(coo_matrix((np.ones(len(edges)), edges.T), shape=(len(index),) * 2), directed=False)
    members: dict[int, list[int]] = {}
    for position, name in enumerate(component):
        members.setdefault(int(name), []).append(index[position])

    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    want = dict(zip(SPLITS, loop.dataset.split, strict=True))
    # largest first, each to the split that lacks most; a hash breaks ties so that order of arrival does not matter
    for group in sorted(members.values(), key=lambda g: (-len(g), _hash(min(rows[i].id for i in g)))):
        kept = {previous[rows[i].id] for i in group if rows[i].id in previous}
        # a new row may link rows of two splits: what a model was trained on must not become what it is tested on
        target = min(kept, key=SPLITS.index) if kept else max(SPLITS, key=lambda name: want[name] * len(index) - len(splits[name]))
        splits[target].extend(rows[i] for i in group)
    return {name: sorted(split, key=lambda row: row.id) for name, split in splits.items()}


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def training_rows(train: Sequence[Example], known: set[str], replay: float, seed: int) -> list[Example]:
    """Rows to train on when going on from production: all it has not seen, and `replay` known ones for each of them.

    With no new row, or nothing known, it is the whole set.
    """
    new = [row for row in train if row.id not in known]
    old = [row for row in train if row.id in known]
    if not new or not old:
        return list(train)
    count = min(len(old), round(replay * len(new)))
    picks = np.random.default_rng(seed).choice(len(old), count, replace=False)
    return new + [old[i] for i in sorted(picks)]
