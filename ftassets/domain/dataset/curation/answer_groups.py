"""Which answers say the same, where a text may say it in other words."""

from collections.abc import Sequence

import numpy as np

from ftassets.domain.dataset.curation.near_pairs import fingerprints, near_groups
from ftassets.domain.dataset.curation.text import answer_keys, normalised
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm


def answer_groups(rows: Sequence[Example], form: AnswerForm, limit: float) -> np.ndarray:
    """One number (n,) per row, equal for answers that say the same.

    Calls and labels do when they are equal (`answer_keys`), texts also when the Jaccard index of their character 5-grams is at least
    `limit`, directly or through texts between them.
    """
    keys = answer_keys(rows, form)
    if "classes" not in form.lacks:
        return keys
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    return near_groups(fingerprints([normalised(rows[i].completion) for i in first]), limit)[numbers].astype(np.uint64)
