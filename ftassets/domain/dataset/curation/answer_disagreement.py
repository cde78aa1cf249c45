"""Feedback on a text task whose answer differs from what others give to the same request."""

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.dataset.curation.answer_groups import answer_groups
from ftassets.domain.dataset.curation.copies import requests
from ftassets.domain.dataset.curation.neighbours import grouped
from ftassets.domain.dataset.curation.step import COPIES, FEEDBACK, Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

VOICES = 3  # voices that must agree on another answer before a user's is doubted


def doubt_answers(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop feedback rows when three voices or more give near-identical requests one other answer, and fewer this one.

    Requests are near-identical from a cosine of `dataset.near_duplicate` (see `Requests.comparable`), answers are one when the Jaccard
    index of their 5-grams is at least `dataset.jaccard`. A voice is a user, however often, or all rows without one (see `Pool.voice`);
    the row's own user has one, for its answer. Copies that earlier steps dropped count. Needs vectors.
    """
    assert pool.vectors is not None
    voices = np.array([*pool.index, *(i for i, step in pool.dropped.items() if step in COPIES)], dtype=np.int64)
    doubted = np.array([i for i in pool.index if pool.rows[i].source in FEEDBACK], dtype=np.int64)
    asked = requests([pool.rows[i] for i in voices])
    place = np.empty(len(pool.rows), dtype=np.int64)
    place[voices] = np.arange(len(voices))
    known = pool.neighbours(len(voices))
    known.add(voices)
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for left, right, _ in known.alike(doubted, loop.dataset.near_duplicate):
        same = asked.comparable(loop.dataset.jaccard, place[doubted[left]], place[right])
        pairs.append(np.stack([left[same], right[same]]))
    near = np.concatenate(pairs, axis=1)
    around = {  # feedback row -> rows with a near-identical request, itself among them
        int(doubted[number]): near[1, places] for number, places in grouped(near[0]) if len(places) > VOICES
    }
    compared = np.unique(np.concatenate([*around.values(), np.empty(0, dtype=np.int64)]))
    groups = dict(
        zip(
            compared.tolist(),
            answer_groups([pool.rows[i] for i in compared], loop.task.form, loop.dataset.jaccard).tolist(),
            strict=True,
        )
    )
    dropped = {}
    for i, rows in around.items():
        said: dict[int, set[str]] = defaultdict(set)
        for j in rows.tolist():
            if (voice := pool.voice(j)) != pool.voice(i):
                said[groups[j]].add(voice)
        mine = len(said.pop(groups[i], set()))
        most = max(map(len, said.values()), default=0)
        if most >= VOICES and most > mine + 1:  # with the row's own voice
            dropped[i] = f"{most} others give near-identical requests one other answer, {mine} this one"
    return StepOutcome(dropped, counts={"requests that others asked too": len(around)} if around else {})
