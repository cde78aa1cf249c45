"""Texts in one form: composed characters, no control or zero-width characters, no space around."""

import re
import unicodedata
from typing import TYPE_CHECKING

from ftassets.domain.chat import texts, with_texts
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.curation.text import INVISIBLE

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """The text in NFC with \\n as line end, without control and zero-width characters and outer whitespace."""
    if text.isascii():
        if text.isprintable():
            return text.strip()
        return _CONTROL.sub("", _LINE_ENDS.sub("\n", text)).strip()
    text = _CONTROL.sub("", _LINE_ENDS.sub("\n", text))
    return unicodedata.normalize("NFC", INVISIBLE.sub("", text)).strip()


def normalise(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Change the rows that are in another form; drop those of which nothing is left."""
    dropped, changed = {}, {}
    for i in pool.index:
        row = pool.rows[i]
        asked = texts(row.messages)
        cleaned, completion = [clean(text) for text in asked], clean(row.completion)
        if cleaned == asked and completion == row.completion:
            continue
        if completion and all(cleaned):
            changed[i] = row.model_copy(update={"messages": with_texts(row.messages, cleaned), "completion": completion})
        else:
            dropped[i] = f"nothing is left of the {'request' if completion else 'answer'} without control characters and spaces"
    return StepOutcome(dropped, changed)
