"""Pairs of texts that share most of their character 5-grams: MinHash finds candidates, the exact Jaccard index decides."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ftassets.domain.dataset.curation.connected import Components

GRAM = 5
PERMUTATIONS = 128
# 42 bands of 3 find a pair of Jaccard .6 with probability .99996 (1 - (1 - .6^3)^42), 32 of 4 with .988: a miss is a leak
BANDS, BAND_ROWS = 42, 3
BUCKET = 32  # texts of one band compared all with all; a larger bucket is told apart by further hashes first
DEPTH = 12
_CHARACTERS = 1 << 15  # hashed at a time: what they take fits into the processor's cache
_PAIRS = 1 << 16  # pairs compared at a time
_CLOSE = 1 << 11  # of which the signatures fit into the processor's cache
_GRAMS = 1 << 16  # 5-grams compared at a time, for the same reason
_IDEOGRAPH = re.compile("[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff]")
_SYLLABLE = re.compile("[\uac00-\ud7a3]")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_UPPER = np.uint64(0xFFFFFFFF00000000)

Filter = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fingerprints:
    """What near pairs of n texts are found by.

    The hashes of a text's 5-grams, each once, are `hashes[begin : begin + size]`, with `begins` (n,) and `sizes` (n,). Row `rows[i]` of
    `signatures` (m, 128) is its MinHash signature, of which 16 bits are kept: chance agreement is 1 in 65,536. Both arrays are large:
    fingerprints of some of the texts share them.
    """

    hashes: np.ndarray
    begins: np.ndarray
    sizes: np.ndarray
    signatures: np.ndarray
    rows: np.ndarray

    def take(self, positions: Sequence[int] | np.ndarray) -> "Fingerprints":
        """Those of the texts at these positions."""
        chosen = np.asarray(positions, dtype=np.int64)
        return replace(self, begins=self.begins[chosen], sizes=self.sizes[chosen], rows=self.rows[chosen])

    def near(self, limit: float, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in `left` and `right` (k,) of the pairs with a Jaccard index of at least `limit`, and their index."""
        likely = np.flatnonzero(self.may_reach(limit, left, right))
        likely = likely[self.likely(limit, left[likely], right[likely])]
        index = self.jaccard(left[likely], right[likely])
        return likely[index >= limit], index[index >= limit]

    def likely(self, limit: float, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Whether the estimate of each pair (k,) is at most four standard errors below the limit: those are worth an exact comparison."""
        least = PERMUTATIONS * limit - 4 * np.sqrt(PERMUTATIONS * limit * (1 - limit))
        return _agreement(self.signatures, self.rows[left], self.rows[right]) >= least

    def may_reach(self, limit: float, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Whether the sizes of each pair (k,) allow a Jaccard index of at least `limit`."""
        one, other = self.sizes[left], self.sizes[right]
        return np.minimum(one, other) >= limit * np.maximum(one, other)

    def jaccard(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Jaccard index of each pair (k,)."""
        total = self.sizes[left] + self.sizes[right]
        common = np.zeros(len(left), dtype=np.int64)
        for begin, end in _parts(total, _GRAMS):
            pair = np.arange(end - begin, dtype=np.uint64) << np.uint64(32)
            sides = left[begin:end], right[begin:end]
            grams = np.sort(
                np.concatenate(
                    [np.repeat(pair, self.sizes[side]) | self.hashes[_ranges(self.begins[side], self.sizes[side])] for side in sides]
                )
            )
            twice = grams[1:][grams[1:] == grams[:-1]]
            common[begin:end] = np.bincount((twice >> np.uint64(32)).astype(np.int64), minlength=end - begin)
        return common / (total - common)


def fingerprints(texts: Sequence[str]) -> Fingerprints:
    """Fingerprints of the texts; those shorter than five characters have no 5-gram and are near to none.

    A letter of Chinese or Japanese counts as three characters and a syllable of Korean as two, so that a 5-gram is about a word there too.
    """
    texts = [text if text.isascii() else _SYLLABLE.sub(r"\g<0>\g<0>", _IDEOGRAPH.sub(r"\g<0>\g<0>\g<0>", text)) for text in texts]
    # an odd factor permutes the 32-bit hashes
    factors = np.random.default_rng(0).integers(0, 2**32, PERMUTATIONS, dtype=np.uint32) | np.uint32(1)
    signatures = np.zeros((len(texts), PERMUTATIONS), dtype=np.uint16)
    begins, sizes = np.zeros((2, len(texts)), dtype=np.int64)
    hashes = [np.empty(0, dtype=np.uint32)]
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    order = np.argsort(lengths, kind="stable")  # texts of one length make a grid without much padding
    order = order[lengths[order] >= GRAM]
    done = 0
    for first, last in _parts(lengths[order], _CHARACTERS):
        rows = order[first:last]
        part = [texts[i] for i in rows.tolist()]
        characters = np.frombuffer("".join(part).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
        rolling = np.zeros(len(characters) - GRAM + 1, dtype=np.uint64)
        for offset in range(GRAM):
            rolling = _mixed(rolling, characters[offset : offset + len(rolling)])
        counts = lengths[rows] - GRAM + 1  # grams within one text
        text = np.repeat(np.arange(len(part), dtype=np.uint64), counts)
        inside = _ranges(np.cumsum(lengths[rows]) - lengths[rows], counts)
        tagged = np.sort(text << np.uint64(32) | rolling[inside] >> np.uint64(32))
        tagged = tagged[np.concatenate([[True], tagged[1:] != tagged[:-1]])]
        distinct = tagged.astype(np.uint32)
        sizes[rows] = counts = np.bincount((tagged >> np.uint64(32)).astype(np.int64), minlength=len(part))
        starts = np.cumsum(counts) - counts
        grid = distinct[starts + np.minimum(np.arange(counts.max())[:, None], counts - 1)]  # (grams, texts), the last one repeated
        least = np.empty((PERMUTATIONS, len(part)), dtype=np.uint32)
        permuted = np.empty_like(grid)
        for factor, row in zip(factors, least, strict=True):
            np.multiply(grid, factor, out=permuted).min(axis=0, out=row)
        signatures[rows] = least.T & 0xFFFF
        begins[rows] = starts + done
        done += len(distinct)
        hashes.append(distinct)
    return Fingerprints(np.concatenate(hashes), begins, sizes, signatures, np.arange(len(texts)))


def near_pairs(
    prints: Fingerprints, limit: float, keys: np.ndarray | None = None, wanted: Filter | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Positions (left, right), left < right, of texts whose sets of 5-grams have a Jaccard index of at least `limit`, and that index.

    Each pair comes once. With `keys` (n,) uint64 only texts of the same key are compared. `wanted(left, right)` may select
    candidates (bool array): the others are skipped. MinHash and banding: Broder 1997; Leskovec,
    Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.
    """
    texts = np.flatnonzero(prints.sizes)
    if len(texts) < 2:
        return
    seen = np.empty(0, dtype=np.int64)
    for codes in _batches(prints, texts, limit, None if keys is None else keys[texts], wanted):
        codes = codes[~_among(codes, seen)]
        codes = codes[prints.likely(limit, *np.divmod(codes, len(prints.sizes)))]
        seen = np.sort(np.concatenate([seen, codes]), kind="stable")
        left, right = np.divmod(codes, len(prints.sizes))
        index = prints.jaccard(left, right)
        near = index >= limit
        yield left[near], right[near], index[near]


def near_groups(prints: Fingerprints, limit: float) -> np.ndarray:
    """Group number (n,) of each text: near ones are in one group, and texts that are near another of it."""
    components = Components(len(prints.sizes))
    for left, right, _ in near_pairs(prints, limit, wanted=components.apart):
        components.unite(left, right)
    return components.labels()


def _batches(prints: Fingerprints, texts: np.ndarray, limit: float, keys: np.ndarray | None, wanted: Filter | None) -> Iterator[np.ndarray]:
    """Candidates as left * n + right, sorted, no pair twice in a batch."""
    batch: list[np.ndarray] = []
    size = 0
    for band in range(BANDS):
        for one, other in _candidates(prints.signatures, prints.rows[texts], band, keys):
            left, right = texts[one], texts[other]
            mask = prints.may_reach(limit, left, right)
            if wanted is not None:
                mask &= wanted(np.minimum(left, right), np.maximum(left, right))
            left, right = left[mask], right[mask]
            batch.append(np.minimum(left, right) * len(prints.sizes) + np.maximum(left, right))
            size += len(batch[-1])
            if size >= _PAIRS:
                yield _distinct(batch)
                batch, size = [], 0
    if batch:
        yield _distinct(batch)


def _distinct(batch: list[np.ndarray]) -> np.ndarray:
    codes = np.sort(np.concatenate(batch))
    return codes[np.concatenate([[True], codes[1:] != codes[:-1]])] if len(codes) else codes


def _candidates(signatures: np.ndarray, rows: np.ndarray, band: int, keys: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions in `rows` (n,) whose rows of `signatures` agree in the band's hashes (and in their key)."""
    members = np.arange(len(rows), dtype=np.uint64)
    key = np.zeros(len(rows), dtype=np.uint64) if keys is None else keys
    for depth in range(BAND_ROWS):
        key = _mixed(key, signatures[rows, band * BAND_ROWS + depth])
    for depth in range(BAND_ROWS, DEPTH + 1):
        # sorted by the key's upper half with the member in the lower one, which is faster than argsort
        ordered = np.sort(key & _UPPER | members)
        members, key = ordered & ~_UPPER, ordered & _UPPER
        edges = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]]))
        sizes = np.diff(edges)
        after = np.repeat(edges[1:], sizes) - np.arange(len(key)) - 1  # members of the bucket behind each one
        large = np.repeat(sizes > BUCKET, sizes)
        if depth == DEPTH:  # alike in all that was looked at: the next ones will do
            after, large = np.minimum(after, BUCKET), np.zeros_like(large)
        yield from _pairs(members[~large], after[~large])
        if not large.any():
            return
        members = members[large]
        key = _mixed(key[large], signatures[rows[members], (band * BAND_ROWS + depth) % PERMUTATIONS])


def _mixed(key: np.ndarray, values: np.ndarray) -> np.ndarray:
    mixed = (key ^ values.astype(np.uint64)) * _MIX
    return mixed ^ (mixed >> np.uint64(29))


def _pairs(members: np.ndarray, after: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each member with as many of those behind it as `after` says: first all neighbours, so that the rest of a chain can be passed over."""
    first = np.flatnonzero(after > 0)
    if len(first):
        yield members[first], members[first + 1]
    more = np.flatnonzero(after > 1)
    for begin, end in _parts(after[more] - 1, _PAIRS):
        part, counts = more[begin:end], after[more[begin:end]] - 1
        yield np.repeat(members[part], counts), members[_ranges(part + 2, counts)]


def _agreement(signatures: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Number of equal hashes of each pair: 128 times the estimate of its Jaccard index."""
    equal = np.empty(len(left), dtype=np.int64)
    for start in range(0, len(left), _CLOSE):
        part = slice(start, start + _CLOSE)
        same = signatures[left[part]] == signatures[right[part]]
        # eight truth values a word: the bytes of the words' sum hold at most 16 each
        words = same.view(np.uint64).sum(axis=1)
        equal[part] = (words * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return equal


def _ranges(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """begins[0], begins[0] + 1, ... `counts[0]` numbers, then those of begins[1], and so on."""
    return np.arange(counts.sum()) + np.repeat(begins - np.cumsum(counts) + counts, counts)


def _parts(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Borders that cut items into parts of a total size of about `most`."""
    total = np.cumsum(sizes)
    cuts = np.searchsorted(total, np.arange(0, total[-1] if len(total) else 0, most)).tolist()
    return pairwise(dict.fromkeys([*cuts, len(sizes)]))


def _among(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    if not len(known):
        return np.zeros(len(codes), dtype=bool)
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return known[place] == codes
