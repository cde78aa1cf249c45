"""Which of a new version's first answers may widen its reference: what is new in them must stay an alarm."""

from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.calibration import SIZES
from ftassets.domain.drift.comparison import DriftVerdict, compare
from ftassets.domain.drift.concentration import nearest_similarities
from ftassets.domain.drift.explanation import explain
from ftassets.domain.drift.reference import Reference


@dataclass(frozen=True)
class Widening:
    """`keep` (n,) says which queries may go into the reference; `left_out` is the share (0..1) of the others, which are of new topics."""

    keep: np.ndarray
    left_out: float


def widening(known: Reference, queries: np.ndarray, rate: float, smallest: int) -> Widening:
    """Compare first answers' unit vectors (n, d) with what was known before them, at a false-alarm rate `rate`.

    Unless that raises an alarm, all of them are traffic as usual. If it does, the members of new topics are left out, and with them what
    is nearer to one of them than to anything known: one query of a topic would make all of it known, since novelty is the distance to the
    nearest query. Single queries far from all others are not a topic; they belong to any traffic.

    Raises ValueError and InvalidInput as `compare`.
    """
    keep = np.ones(len(queries), dtype=bool)
    for part in np.array_split(np.arange(len(queries)), max(1, -(-len(queries) // SIZES[-1]))):
        found = compare(known, queries[part], rate, smallest)
        if found.verdict is DriftVerdict.ALARM:
            for topic in explain(known, found, queries[part], [""] * len(part)).new:
                keep[part[list(topic.members)]] = False
    if not keep.all():
        new = queries[~keep]
        rest = np.flatnonzero(keep)
        nearer = nearest_similarities(queries[rest], new)[:, 0] > nearest_similarities(queries[rest], known.vectors)[:, 0]
        keep[rest[nearer]] = False
    return Widening(keep, float(1 - keep.mean()) if len(keep) else 0.0)
