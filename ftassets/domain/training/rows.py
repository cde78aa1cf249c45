"""Which rows a training uses, and what it continues from."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm


def lineage_of(parent: str | None, before: tuple[str, str | None] | None, now: tuple[str, str]) -> tuple[bool, str]:
    """Whether training continues from `parent`'s adapter, and the new version's lineage in words.

    `before` and `now` are reference and digest of parent's base and of today's: an adapter fits only the base it was trained on.
    """
    if parent is None:
        return False, "starts from the untuned base"
    if before is None or before[1] == now[1]:
        return True, f"continues from {parent}"
    old, new = before[0], now[0]
    if old == new:  # the same name, other weights or another tokenizer
        old, new = f"{old} {str(before[1])[:12]}", f"{new} {now[1][:12]}"
    return False, f"starts cold (base changed from {old} to {new})"


def training_rows(
    train: Sequence[Example],
    known: set[str],
    replay: float,
    seed: int,
    balance: Mapping[str, float],
    form: AnswerForm,
) -> list[Example]:
    """Rows to train on when going on from production: all it has not seen, and `replay` known ones for each of them.

    With no new row, or nothing known, it is the whole set. `balance` maps classes, as `form` names them, to the share of their rows
    that is used; the row's hash picks them, so that the same rows come back as the set grows.
    """
    if balance:
        train = _balanced(train, balance, form)
    new = [row for row in train if row.id not in known]
    old = [row for row in train if row.id in known]
    if not new or not old:
        return list(train)
    count = min(len(old), round(replay * len(new)))
    picks = np.random.default_rng(seed).choice(len(old), count, replace=False)
    return new + [old[i] for i in sorted(picks)]


def _balanced(rows: Sequence[Example], shares: Mapping[str, float], form: AnswerForm) -> list[Example]:
    members: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        members.setdefault(form.label(row.completion), []).append(position)
    kept: list[int] = []
    for name, positions in members.items():
        share = shares.get(name, 1.0)
        # rows, not chance, decide how many: at least one, so that no class is lost
        count = max(1, round(share * len(positions)))
        kept += sorted(positions, key=lambda position: hashlib.blake2b(rows[position].id.encode(), digest_size=8).digest())[:count]
    return [rows[position] for position in sorted(kept)]
