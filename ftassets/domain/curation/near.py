"""Requests that differ in a word or two and have the same answer."""

from ftassets.domain.curation.near_pairs import near_pairs
from ftassets.domain.curation.step import Outcome, Pool
from ftassets.domain.curation.text import answer_keys, ranked
from ftassets.domain.loop import LoopConfig


def drop_near(pool: Pool, loop: LoopConfig) -> Outcome:
    """Drop rows with the answer of a kept row that ranks higher and whose request is near.

    Near is a Jaccard index of character 5-grams of at least `dataset.jaccard`. Chains do not collapse: a row that is near a
    dropped row only stays.
    """
    order = ranked(pool.rows, pool.index)
    better: dict[int, list[tuple[int, float]]] = {}  # position in order -> near ones that rank higher
    for left, right, shares in near_pairs(pool.prints(order), loop.dataset.jaccard, answer_keys([pool.rows[i] for i in order])):
        for one, other, share in zip(left.tolist(), right.tolist(), shares.tolist(), strict=True):
            better.setdefault(other, []).append((one, share))
    dropped: dict[int, str] = {}
    for position in sorted(better):
        found = next((pair for pair in sorted(better[position]) if order[pair[0]] not in dropped), None)
        if found:
            kept, share = order[found[0]], found[1]
            dropped[order[position]] = f"same answer as {pool.rows[kept].id}, and the request shares {share:.2f} of its 5-grams"
    return Outcome(dropped)
