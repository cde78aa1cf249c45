"""From raw examples to a training set: every row is kept in one split or quarantined with its step and reason."""

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.curation.balance import weigh_classes
from ftassets.domain.dataset.curation.conflicts import Conflict, drop_conflicts
from ftassets.domain.dataset.curation.contamination import drop_contaminated
from ftassets.domain.dataset.curation.context import apply_context, in_context
from ftassets.domain.dataset.curation.control_tokens import count_control_tokens
from ftassets.domain.dataset.curation.exact import drop_exact
from ftassets.domain.dataset.curation.label_disagreement import doubt_labels
from ftassets.domain.dataset.curation.language import keep_languages
from ftassets.domain.dataset.curation.length import check_length
from ftassets.domain.dataset.curation.near import drop_near
from ftassets.domain.dataset.curation.normalise import normalise
from ftassets.domain.dataset.curation.pii import scrub
from ftassets.domain.dataset.curation.poisoning import drop_poisoners
from ftassets.domain.dataset.curation.quality import keep_good
from ftassets.domain.dataset.curation.schema import check_answers
from ftassets.domain.dataset.curation.semantic import drop_semantic
from ftassets.domain.dataset.curation.size import Preflight, check_size
from ftassets.domain.dataset.curation.split import SPLITS, split
from ftassets.domain.dataset.curation.step import Pool, Step, StepOutcome
from ftassets.domain.dataset.curation.topic_cap import cap_topics
from ftassets.domain.dataset.curation.user_cap import cap_users
from ftassets.domain.dataset.curation.whole_json import broken
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.personal_data.spans import Finder
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

Progress = Callable[[str, int, int], None]


class NamedStep(NamedTuple):
    """A step under its name in the funnel and in `dataset.skip`; without a required one there is no dataset."""

    name: str
    run: Step
    required: bool = False


STEPS = (
    NamedStep("schema", check_answers, required=True),
    NamedStep("context", apply_context, required=True),
    NamedStep("normalise", normalise),
    NamedStep("control_tokens", count_control_tokens, required=True),
    NamedStep("pii", scrub),
    NamedStep("language", keep_languages),
    NamedStep("quality", keep_good),
    NamedStep("length", check_length),
    NamedStep("exact", drop_exact),
    NamedStep("near", drop_near),
    NamedStep("semantic", drop_semantic),
    NamedStep("user_cap", cap_users),
    NamedStep("topic_cap", cap_topics),
    NamedStep("label_disagreement", doubt_labels),
    NamedStep("poisoning", drop_poisoners),
    NamedStep("conflicts", drop_conflicts),
    NamedStep("contamination", drop_contaminated),
    NamedStep("balance", weigh_classes),
    NamedStep("split", split, required=True),
    NamedStep("size", check_size, required=True),
)
SKIPPABLE = tuple(step.name for step in STEPS if not step.required)


@dataclass(frozen=True)
class StepReport:
    """One line of the funnel: rows left after the step, dropped and changed by it, its counts with an example of some, and why it was
    skipped, if it was.
    """

    name: str
    kept: int
    dropped: int = 0
    changed: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: str | None = None
    examples: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Curated:
    """Rows per split, what was dropped, the funnel and the pre-flight verdict.

    `balance` is the share of a class's rows that training may use, 1 where it is not named. `renamed` has for the rows whose id had
    personal data the id they came with. `conflicts` are requests that rows answer differently. `dropped_at` are the
    positions of the rows in `dropped`, which come after the lines that were no examples.
    """

    splits: dict[str, list[Example]]
    dropped: list[Quarantined]
    funnel: list[StepReport]
    preflight: Preflight
    balance: dict[str, float]
    renamed: Mapping[str, str] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    dropped_at: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of rows kept."""
        return sum(map(len, self.splits.values()))

    def empty_splits(self, loop: "LoopConfig") -> list[str]:
        """Splits that have no row although the loop gives them a share."""
        return [name for name, share in zip(SPLITS, loop.dataset.split, strict=True) if share and not self.splits[name]]


def curate(
    rows: Sequence[Example],
    vectors: np.ndarray | None,
    golden: Sequence[Example],
    golden_vectors: np.ndarray | None,
    previous: Mapping[str, str],
    loop: "LoopConfig",
    rejected: Sequence[Quarantined] = (),
    tokens: Sequence[int] | None = None,
    control_tokens: ControlTokens | None = None,
    names: Finder | None = None,
    progress: Progress | None = None,
) -> Curated:
    """Run the steps in order, but for those of `loop.dataset.skip`.

    `vectors` (n, d) and `golden_vectors` (m, d) are unit vectors of the prompts as given, or None; a prompt that the embedder cannot
    read has a vector of zeros, which is near to none; `previous` has the splits of the
    last dataset's rows (`splits_of`), which they keep; `rejected` are lines that were no examples at all; `tokens` (n,) count request
    and answer; `control_tokens` are those of the base model's tokenizer; `names` finds people's names in a text; `progress(step,
    number, of)` is called before each step. What is quarantined is redacted like the rows, unless the step `pii` is left out. Raises
    ValueError when lengths differ or vectors are not of length 1.
    """
    _check(vectors, len(rows), "rows")
    _check(golden_vectors, len(golden), "golden rows")
    if tokens is not None and len(tokens) != len(rows):
        raise ValueError(f"{len(tokens)} token counts for {amount(len(rows), 'row')}: count each row once")
    gone: dict[int, str] = {}
    copies: dict[int, int] = {}
    known = _as_rows(golden, loop, names)
    pool = Pool(list(rows), list(range(len(rows))), vectors, known, golden_vectors, tokens, previous, gone, copies, control_tokens)
    from ftassets.domain.personal_data.texts import scrubbed_text  # compiles many patterns

    hide = functools.partial(scrubbed_text, names=names) if "pii" not in loop.dataset.skip else str
    dropped = [replace(line, where=f"schema:{line.where}", reason=hide(line.reason), content=hide(line.content)) for line in rejected]
    dropped_at: list[int] = []
    funnel = [StepReport("collected", len(rows) + len(rejected))]
    steps = [
        (step.name, functools.partial(scrub, names=names) if step.name == "pii" else step.run)
        for step in STEPS
        if step.name not in loop.dataset.skip
    ]
    results = {}
    renamed: dict[str, str] = {}
    for number, (name, step) in enumerate(steps, start=1):
        if progress is not None:
            progress(name, number, len(steps))
        outcome = _done(step, pool, loop)
        for i, row in outcome.changed.items():
            if row.id != pool.rows[i].id:
                renamed[row.id] = pool.rows[i].id
            pool.rows[i] = row
        copies |= outcome.copies
        for i in pool.index if outcome.dropped else ():
            if i in outcome.dropped:
                gone[i] = name
                where = f"{name}:{hide(pool.rows[i].id)}"
                dropped.append(Quarantined(where, hide(outcome.dropped[i]), hide(pool.rows[i].prompt)))
                dropped_at.append(i)
        pool.index = [i for i in pool.index if i not in outcome.dropped] if outcome.dropped else pool.index
        results[name] = outcome.result
        lost = len(outcome.dropped) + (len(rejected) if name == "schema" else 0)
        counts: Counter[str] = Counter()
        for what, count in outcome.counts.items():
            counts[hide(what)] += count
        counted = dict(counts), outcome.skipped, {hide(what): hide(row) for what, row in outcome.examples.items()}
        funnel.append(StepReport(name, len(pool.index), lost, len(outcome.changed), *counted))
    splits = {name: sorted((pool.rows[i] for i in members), key=lambda row: row.id) for name, members in results["split"].items()}
    conflicting = results.get("conflicts") or []
    return Curated(splits, dropped, funnel, results["size"], results.get("balance") or {}, renamed, conflicting, dropped_at)


def _as_rows(golden: Sequence[Example], loop: "LoopConfig", names: Finder | None) -> list[Example]:
    """The golden rows with the context and without the personal data of rows, so that a copy among these is one still."""
    known = Pool([in_context(row, loop) for row in golden], list(range(len(golden))))
    if "pii" not in loop.dataset.skip:
        for i, row in scrub(known, loop, names).changed.items():
            known.rows[i] = row.model_copy(update={"id": known.rows[i].id})
    return known.rows


def conflicts(rows: Sequence[Example], loop: "LoopConfig") -> list[Conflict]:
    """The requests that these rows answer differently, once their texts are in one form; rows are not compared by vectors."""
    return list(drop_conflicts(without_vectors(rows, (), loop, ("schema", "context", "normalise")), loop).result)


def without_vectors(rows: Sequence[Example], golden: Sequence[Example], loop: "LoopConfig", names: Sequence[str]) -> Pool:
    """The rows after some of the steps in their order, but for those of `loop.dataset.skip`: steps that need neither vectors nor models.

    What is left are the rows at `index`; `dropped` has the step that dropped each other one.
    """
    gone: dict[int, str] = {}
    copies: dict[int, int] = {}
    pool = Pool(list(rows), list(range(len(rows))), golden=golden, dropped=gone, copies=copies)
    for name, step, required in STEPS:
        if name not in names or (name in loop.dataset.skip and not required):
            continue
        outcome = _done(step, pool, loop)
        for i, row in outcome.changed.items():
            pool.rows[i] = row
        copies |= outcome.copies
        gone |= dict.fromkeys(outcome.dropped, name)
        pool.index = [i for i in pool.index if i not in outcome.dropped]
    return pool


def _done(step: Step, pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """What a step does; a row whose JSON it would break is dropped instead of changed."""
    outcome = step(pool, loop)
    spoiled = {i: why for i, row in outcome.changed.items() if (why := broken(pool.rows[i], row))}
    if not spoiled:
        return outcome
    whole = {i: row for i, row in outcome.changed.items() if i not in spoiled}
    return replace(outcome, changed=whole, dropped={**outcome.dropped, **spoiled})


def _check(vectors: np.ndarray | None, count: int, what: str) -> None:
    if vectors is None:
        return
    if vectors.ndim != 2 or len(vectors) != count:
        raise ValueError(f"vectors of shape {vectors.shape} for {count} {what}: embed each prompt once, in the order of the rows")
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    off = np.flatnonzero(~(np.abs(lengths - 1) < 0.01) & (lengths != 0))
    if len(off):
        raise ValueError(f"{len(off)} vectors of {what}, the first at position {off[0]}, are not of length 1: cosines need unit vectors")
