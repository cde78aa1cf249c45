"""Rows whose request is in a language the loop does not serve."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.languages import beginning, detect
from ftassets.domain.scripts import foreign_script

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

TOO_SHORT, NOT_SURE = "too short to tell", "not sure"


def keep_languages(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows whose request is, with a score of at least MIN_SCORE, in a language that is not among `loop.dataset.languages`.

    Requests under MIN_CHARS characters and requests no language reaches the score for are dropped if none of the languages is written
    in their script (`foreign_script`), else kept. What the user wrote counts, in all turns. Counts are rows per language (ISO 639-1,
    639-3 for a language without one) or script, `too short to tell` and `not sure`. The score is that of fastText's lid.176 (lite),
    which comes with the package: nothing is downloaded.
    """
    wanted = {language.lower() for language in loop.dataset.languages}
    if not wanted:
        return StepOutcome(skipped="no languages are set")
    kept = ", ".join(sorted(wanted))
    dropped: dict[int, str] = {}
    counts: Counter[str] = Counter()
    for i in pool.index:
        text = pool.rows[i].user_text
        language, score = detect(text)
        script = None if language else foreign_script(beginning(text), wanted)
        counts[language or (script and f"{script} letters") or (TOO_SHORT if score is None else NOT_SURE)] += 1
        if script:
            dropped[i] = f"the request is written in {script} letters, which none of the languages kept has: {kept}"
        elif language and language not in wanted:
            dropped[i] = f"the request's language is {language} (score {score:.2f}), kept are {kept}"
    return StepOutcome(dropped=dropped, counts=dict(counts))


def shares(texts: Iterable[str]) -> dict[str, float]:
    """Share of each language among the texts whose language is detected, largest first."""
    counts = Counter(language for text in texts if (language := detect(text)[0]))
    return {name: count / counts.total() for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}
