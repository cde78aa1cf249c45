"""What LLM judges chose in earlier evaluations, so that no judge is asked twice about one pair of answers.

One document a judge, `answers/judge-IDENTITY.jsonl`, one line a pair. Earlier releases stored them there, among the answers, so the
place stays.
"""

import json
from collections.abc import Mapping
from typing import ClassVar

from pydantic import ConfigDict

from ftassets.backends.control.base import Control
from ftassets.domain.evaluation.llm_judge import BothOrders
from ftassets.domain.formats import NewerFormat, Stored

FOLDER = "answers"


class _Line(Stored):
    """The choices for one pair. The pair is stored as a digest, since its texts may be a user's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "judge_answers"

    key: str
    choices: list[BothOrders]


def read_choices(control: Control, judge: str) -> dict[str, list[BothOrders]]:
    """Choices of the judge with this identity, by the digest of the pair; a damaged line is left out. Raises NewerFormat, OSError."""
    return _parsed(control.read(_key(judge)))


def add_choices(control: Control, judge: str, choices: Mapping[str, list[BothOrders]]) -> None:
    """Add choices, by the digest of the pair, to those of the judge; two runs may do so at once.

    Raises NewerFormat and OSError; nothing is stored then.
    """

    def change(content: bytes | None) -> bytes:
        lines = [_Line(key=key, choices=found) for key, found in {**_parsed(content), **choices}.items()]
        return "".join(json.dumps(line.document()) + "\n" for line in lines).encode()

    control.update(_key(judge), change)


def drop_choices(control: Control, judge: str) -> None:
    """Remove all choices of the judge with this identity. Raises OSError."""
    control.delete(_key(judge))


def _parsed(content: bytes | None) -> dict[str, list[BothOrders]]:
    known: dict[str, list[BothOrders]] = {}
    for line in (content or b"").split(b"\n"):
        try:
            found = _Line.parse(line)
        except NewerFormat:
            raise  # these choices were paid for, and rewriting the document would lose them
        except ValueError:
            continue
        known[found.key] = found.choices
    return known


def _key(judge: str) -> str:
    return f"{FOLDER}/judge-{judge}.jsonl"
