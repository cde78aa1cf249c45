"""Labels that a dataset would take and no training has used: what triggers count instead of events."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.pipeline import without_vectors
from ftassets.domain.dataset.curation.step import FEEDBACK
from ftassets.domain.dataset.curation.text import answer_key, request_digest
from ftassets.domain.dataset.rows import Example
from ftassets.domain.dataset.variants import forms_of_one
from ftassets.domain.evaluation.answer_form import AnswerForm

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

# what curation drops without vectors, models or the rest of the dataset: 5,000 rows in a second
STEPS = ("schema", "context", "normalise", "quality", "length", "exact", "near", "user_cap", "conflicts")
CONFIRMS, KNOWN, VARIED = "confirms the answer that was given", "is in production's dataset", "one user's request with other words"


@dataclass(frozen=True)
class Usable:
    """The labels that count, and how many do not, by the reason or the curation step that drops them."""

    rows: tuple[Example, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    def in_words(self) -> str:
        """What does not count, the most frequent reason first; empty if everything counts."""
        return ", ".join(f"{reason} {count}" for reason, count in Counter(self.dropped).most_common())


def usable(
    labels: Sequence[Example],
    given: Mapping[str, str],
    loop: "LoopConfig",
    trusted: Sequence[Example] = (),
    learnt: Collection[bytes] = (),
) -> Usable:
    """The corrections and labels that would become a row of their own in the next dataset.

    Of one user's requests with one answer that are one sentence with another word in each, one counts: a flood of them starts no
    training. They may all be rows of a dataset.

    `given` has the answers that the requests got, by request id: a label that says the same teaches nothing. `trusted` are rows of the
    seed and the golden set, which say which labels of a classification exist. `learnt` has the `fact` of each row of production's dataset.
    """
    form = loop.task.form
    dropped: Counter[str] = Counter()
    asked = []
    for row in labels:
        answer = given.get(row.request_id or "")
        if answer is not None and answer_key(form.spelled(row.completion), form) == answer_key(answer, form):
            dropped[CONFIRMS] += 1
        else:
            asked.append(row)
    first, *rest = STEPS  # the schema sees what the owners wrote; with their rows in the other steps, labels would be copies of them
    pool = without_vectors([*trusted, *asked], trusted, loop, [first])
    dropped.update(step for place, step in pool.dropped.items() if place >= len(trusted))
    pool = without_vectors([pool.rows[i] for i in pool.index if i >= len(trusted)], (), loop, rest)
    dropped.update(pool.dropped.values())
    said = [i for i in pool.index if pool.rows[i].source in FEEDBACK]
    keys = [(pool.voice(i), answer_key(pool.rows[i].completion, form)) for i in said]
    varied = {said[place] for place in forms_of_one([pool.rows[i] for i in said], keys)}
    if varied:
        dropped[VARIED] = len(varied)
    kept = [pool.rows[i] for i in pool.index if i not in varied]
    new = [row for row in kept if fact(row, form) not in learnt]
    if len(new) < len(kept):
        dropped[KNOWN] = len(kept) - len(new)
    return Usable(tuple(new), dict(dropped))


def fact(row: Example, form: AnswerForm) -> bytes:
    """16 bytes that are equal for rows with the same request and answer, once normalised."""
    said = answer_key(row.completion, form).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(request_digest(row) + said, digest_size=16).digest()
