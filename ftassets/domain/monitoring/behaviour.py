"""How answers read, against the version's first ones: length, diversity, refusals, uncertainty, classes, words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift import DriftOrigin, Statistic, input_or_output, text_statistics
from ftassets.domain.drift.calibration import JITTER
from ftassets.domain.drift.comparison import INFORM_RATE
from ftassets.domain.drift.occupancy import jensen_shannon, shares
from ftassets.domain.drift.text import SMALLEST, diversity, lengths, refusals

# How models hedge. English only, as the refusals.
UNCERTAIN = (
    "i think", "i believe", "i guess", "i'm not sure", "i am not sure", "i'm not certain", "i am not certain", "not entirely sure",
    "it seems", "it appears", "probably", "perhaps", "might be", "may be", "could be", "possibly", "as far as i know",
    "to the best of my knowledge", "i don't know", "i do not know", "it is unclear", "it's unclear", "hard to say",
)  # fmt: skip
DRAWS = 4000


@dataclass(frozen=True)
class ClassShare:
    """Share of one class of answers in the baseline and in the window."""

    name: str
    baseline: float
    window: float


def uncertain(texts: Sequence[str]) -> np.ndarray:
    """Whether each text (n,) has one of the phrases of `UNCERTAIN` in it."""
    lowered = [text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") for text in texts]
    return np.array([any(phrase in text for phrase in UNCERTAIN) for text in lowered], dtype=bool)


def behaviour_statistics(
    baseline: Sequence[str], window: Sequence[str], baseline_classes: Sequence[str] = (), window_classes: Sequence[str] = ()
) -> tuple[Statistic, ...]:
    """Statistics of a window's answers against the baseline's, each with the threshold harmless windows pass in 1 % of cases.

    Classes are one name an answer, none for a task without classes. Empty with fewer than ten answers on either side. Nothing here
    alarms by itself.
    """
    if min(len(baseline), len(window)) < SMALLEST:
        return ()
    found = [*text_statistics(baseline, window), _uncertainty(baseline, window)]
    mix = _class_mix(Counter(baseline_classes), Counter(window_classes))
    return tuple(found + ([mix] if mix else []))


def pairs_of(baseline: Sequence[str], window: Sequence[str]) -> list[tuple[str, float, float]]:
    """Mean length, mean diversity, refusal share and uncertainty share of both sides, which must not be empty."""
    measures = {"length, characters": lengths, "diversity": diversity, "refusals": refusals, "uncertain": uncertain}
    return [(name, float(np.mean(measure(baseline))), float(np.mean(measure(window)))) for name, measure in measures.items()]


def class_shares(baseline: Sequence[str], window: Sequence[str]) -> list[ClassShare]:
    """Shares of all classes on either side, the largest change first."""
    before, now = Counter(baseline), Counter(window)
    found = [ClassShare(name, before[name] / max(len(baseline), 1), now[name] / max(len(window), 1)) for name in before | now]
    return sorted(found, key=lambda c: (-abs(c.window - c.baseline), c.name))


def origin(inputs: Sequence[Statistic] | None, outputs: Sequence[Statistic]) -> tuple[DriftOrigin | None, str]:
    """Which side moved, in a word and a sentence; None where a side is not known. `inputs` are the drift report's, None without one."""
    if not outputs:
        return None, "too few answers to say whether outputs moved"
    moved = ", ".join(s.name for s in outputs if s.above) or "nothing"
    if not inputs:
        return None, f"outputs: {moved} moved; no drift report about this version says whether the queries did"
    side = input_or_output(inputs, outputs)
    arrived = ", ".join(s.name for s in inputs if s.above) or "nothing"
    meaning = {
        DriftOrigin.NONE: "queries and answers are as they were",
        DriftOrigin.INPUT: "the queries moved, the answers did not",
        DriftOrigin.OUTPUT: "the answers moved, the queries did not: look for a change of the model, its base, its settings or prompt",
        DriftOrigin.BOTH: "the queries moved, and the answers with them",
    }
    return side, f"{meaning[side]} (queries: {arrived}; answers: {moved})"


def _uncertainty(baseline: Sequence[str], window: Sequence[str]) -> Statistic:
    """Share of hedging answers, above what the beta-binomial prediction from the baseline's count allows (Jeffreys prior)."""
    from scipy.stats import betabinom

    m, n, known, seen = len(baseline), len(window), int(uncertain(baseline).sum()), int(uncertain(window).sum())
    expected = betabinom(n, known + 0.5, m - known + 0.5)
    return Statistic("uncertain_share", seen / n, float(expected.isf(INFORM_RATE)) / n, float(expected.sf(seen - 1)), informs_only=True)


def _class_mix(before: Counter[str], now: Counter[str]) -> Statistic | None:
    """Jensen-Shannon divergence of the classes, against windows whose mix wanders as harmless ones do; None with one class only.

    A harmless window is multinomial with shares from Dirichlet(5 k s), k classes with baseline shares s: as for the clusters of queries.
    """
    names = sorted(before | now)
    if len(names) < 2:
        return None
    counts = np.array([[side[name] for name in names] for side in (before, now)])
    usual = shares(counts[0])
    rng = np.random.default_rng(0)
    windows = rng.multinomial(now.total(), rng.dirichlet(JITTER * len(names) * usual, DRAWS))
    harmless, value = jensen_shannon(windows, counts[0]), float(jensen_shannon(counts[1], counts[0]))
    p_value = (1 + int((harmless >= value).sum())) / (DRAWS + 1)
    return Statistic("class_mix", value, float(np.quantile(harmless, 1 - INFORM_RATE)), p_value, informs_only=True)
