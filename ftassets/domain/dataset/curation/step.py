"""What a curation step is given and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.curation.copies import Requests, requests
from ftassets.domain.dataset.curation.neighbours import EXACT, Neighbours, cells_of
from ftassets.domain.dataset.curation.text import request_digest
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

FEEDBACK = ("correction", "thumbs_up")  # sources anyone with access to the endpoint can write to
NO_USERS = "does not apply: no feedback row has a user"
UNREAD = "not compared by vectors: the embedder does not know their words"
ANONYMOUS = ""  # whoever sent feedback without a user
COPIES = ("exact", "near", "semantic")  # steps whose dropped rows still say what an answer should be


@dataclass
class Pool:
    """The input rows of a step: those of `rows` whose position is in `index`.

    `vectors` (n, d) and `golden_vectors` (m, d) are unit vectors of the prompts, zeros for one that the embedder cannot read, None when
    not computed; `tokens` (n,) are
    token counts of request and answer together; `previous` has the splits of the last dataset's rows; `dropped` maps positions no longer
    in `index` to the step that dropped them, `copies` those that were copies to the position of the row that was kept instead;
    `control_tokens` are those of the base model's tokenizer, None when it is not known.
    """

    rows: list[Example]
    index: list[int]
    vectors: np.ndarray | None = None
    golden: Sequence[Example] = ()
    golden_vectors: np.ndarray | None = None
    tokens: Sequence[int] | None = None
    previous: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[int, str] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    control_tokens: ControlTokens | None = None
    _users: bool | None = field(default=None, init=False, repr=False)
    _requests: tuple[np.ndarray, Requests] | None = field(default=None, init=False, repr=False)
    _read: np.ndarray | None = field(default=None, init=False, repr=False)
    _cells: np.ndarray | None = field(default=None, init=False, repr=False)
    _digests: tuple[list[Example | None], list[bytes]] | None = field(default=None, init=False, repr=False)

    def request_digest(self, position: int) -> bytes:
        """`request_digest` of a row, worked out once until the row changes."""
        if self._digests is None:
            self._digests = [None] * len(self.rows), [b""] * len(self.rows)
        (known, digests), row = self._digests, self.rows[position]
        if known[position] is not row:
            known[position], digests[position] = row, request_digest(row)
        return digests[position]

    def voice(self, position: int) -> str:
        """Whose voice a row is: that of its user, else its own. Where most feedback has a user, all that has none is one voice, since one
        person may have sent it; where most has none, as from a client that sends no users, each row is a voice."""
        row = self.rows[position]
        if row.user:
            return row.user
        if self._users is None:
            named = [bool(row.user) for row in self.rows if row.source in FEEDBACK]
            self._users = 2 * sum(named) >= len(named)
        return ANONYMOUS if self._users and row.source in FEEDBACK else f"row {position}"

    def requests(self, positions: Sequence[int] | np.ndarray, golden: bool = False) -> Requests:
        """What copies among these rows are found by, in their order, behind the golden rows if they are wanted.

        Made at first use, after which requests must not change.
        """
        if self._requests is None:
            place = np.full(len(self.rows), -1)
            place[self.index] = np.arange(len(self.index)) + len(self.golden)
            self._requests = place, requests([*self.golden, *(self.rows[i] for i in self.index)])
        place, made = self._requests
        before = np.arange(len(self.golden) if golden else 0)
        return made.take(np.concatenate([before, place[positions]]))

    def read(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Those of these positions of rows that have a vector which says something."""
        if self._read is None:
            assert self.vectors is not None
            self._read = np.asarray(self.vectors.any(axis=1))
        asked = np.asarray(positions, dtype=np.int64)
        return asked[self._read[asked]]

    def neighbours(self, count: int) -> Neighbours:
        """What finds rows with near vectors, of at most `count` rows that are added to it by their position in `rows`."""
        assert self.vectors is not None
        if count <= EXACT:
            return Neighbours(self.vectors)
        if self._cells is None:
            self._cells = cells_of(self.vectors)
        return Neighbours(self.vectors, self._cells)


@dataclass(frozen=True)
class StepOutcome:
    """Positions dropped with their reason, positions changed with their new row, and counts worth showing, for example of e-mail addresses.

    `skipped` is the reason why the step did not run; `result` is what a step computes about the whole set; `examples` are of what is
    counted, by its name: ids and places, never texts. `copies` maps positions dropped as copies to that of the row they copy.
    """

    dropped: Mapping[int, str] = field(default_factory=dict)
    changed: Mapping[int, Example] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: str | None = None
    result: Any = None
    examples: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)


Step = Callable[[Pool, "LoopConfig"], StepOutcome]
