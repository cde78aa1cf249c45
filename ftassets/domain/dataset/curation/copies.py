"""When two requests are copies: their last messages are near, and so is all that stands before them.

Three parts of a request are compared, each on its own, so that a long one does not hide that a short one differs: the last message
(the user's, or a tool's result), the messages before it, and the frame (system message and tools). Parts are near when they are
equal once `bare`, or when the Jaccard index of their character 5-grams reaches a limit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.curation.near_pairs import GRAM, Filter, Fingerprints, fingerprints, near_groups, near_pairs
from ftassets.domain.dataset.curation.text import bare, said, tools_key

_FRAME, _EARLIER = 0, 1
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Requests:
    """What copies among n requests are found by.

    `last` has the n last messages. `before` (n, 2) are numbers of frame and earlier messages in `texts`, which holds each text once; the
    number of an empty one is 0.
    """

    last: Fingerprints
    before: np.ndarray
    texts: Fingerprints

    def take(self, positions: Sequence[int] | np.ndarray) -> "Requests":
        """Those at these positions."""
        return Requests(self.last.take(positions), self.before[np.asarray(positions, dtype=np.int64)], self.texts)

    def copies(
        self, limit: float, keys: np.ndarray | None = None, wanted: Filter | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Positions (left, right), left < right, of copies, and the Jaccard index of their last messages; `keys` and `wanted` as in
        `near_pairs`."""
        if self.before.any():
            families = self._families(limit)
            keys = families if keys is None else (keys ^ families) * _MIX
        for left, right, index in near_pairs(self.last, limit, keys, wanted):
            same = self.same_context(limit, left, right)
            yield left[same], right[same], index[same]

    def near(self, limit: float, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in `left` and `right` (k,) of the pairs that are copies, and the Jaccard index of their last messages."""
        found, index = self.last.near(limit, left, right)
        same = self.same_context(limit, left[found], right[found])
        return found[same], index[same]

    def same_context(self, limit: float, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Whether frame and earlier messages of each pair (k,) are near."""
        near = np.ones(len(left), dtype=bool)
        for column in (_FRAME, _EARLIER):
            one, other = self.before[left, column], self.before[right, column]
            differ = np.flatnonzero(near & (one != other))
            if len(differ):
                close, _ = self.texts.near(limit, one[differ], other[differ])
                near[np.delete(differ, close)] = False
        return near

    def comparable(self, limit: float, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """For which pairs (k,) a cosine of their vectors says whether they are copies.

        A vector is of all messages: with earlier ones it says little about the last one, whose 5-grams then have to be near too.
        """
        same = self.same_context(limit, left, right)
        talks = np.flatnonzero(same & (self.before[left, _EARLIER] > 0))
        if len(talks):
            near, _ = self.last.near(limit, left[talks], right[talks])
            same[np.delete(talks, near)] = False
        return same

    def without_frame(self) -> "Requests":
        """The same requests, compared without their frames: a golden question is the same one below another system message."""
        before = self.before.copy()
        before[:, _FRAME] = 0
        return Requests(self.last, before, self.texts)

    def alone(self) -> np.ndarray:
        """Which requests (n,) have nothing before their last message."""
        return np.asarray(np.all(self.before == 0, axis=1))

    def opening(self) -> np.ndarray:
        """Which requests (n,) have no earlier messages."""
        return np.asarray(self.before[:, _EARLIER] == 0)

    def _families(self, limit: float) -> np.ndarray:
        """A number (n,) uint64 that is equal for requests whose contexts are near, directly or through contexts between them."""
        families = np.zeros(len(self.before), dtype=np.uint64)
        for column in (_FRAME, _EARLIER):
            texts, numbers = np.unique(self.before[:, column], return_inverse=True)
            groups = near_groups(self.texts.take(texts), limit)[numbers]
            families = (families ^ groups.astype(np.uint64)) * _MIX
        return families


def requests(rows: Sequence[Asked]) -> Requests:
    """What copies among these rows are found by."""
    before = np.zeros((len(rows), 2), dtype=np.int64)
    last, texts = [], {"": 0}
    for place, row in enumerate(rows):
        *context, final = parts_of(row)
        if any(context):
            before[place] = [texts.setdefault(text, len(texts)) for text in context]
        last.append(final)
    return Requests(fingerprints(last), before, fingerprints(list(texts)))


def parts_of(asked: Asked) -> tuple[str, str, str]:
    """Frame, earlier messages and last message, once `bare`."""
    if len(asked.messages) == 1 and asked.tools is None:
        return "", "", _padded(asked.messages[0].content or "")
    own = asked.messages[0].role == "system"
    frame = f"{asked.messages[0].content if own else ''}\n{tools_key(asked.tools)}"
    return _padded(frame), _padded("\n".join(map(said, asked.messages[own:-1]))), _padded(asked.last_text)


def _padded(text: str) -> str:
    """The text once `bare`; a short one gets a 5-gram, so that "yes" is near "yes"."""
    text = bare(text)
    return text.rjust(GRAM) if text else text
