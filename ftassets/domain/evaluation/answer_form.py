"""What a task's type means: the form of an answer, its class, and when two answers say the same."""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ftassets.domain.canonical import comparable_json, composed, read_json, same_json
from ftassets.domain.chat import trimmed
from ftassets.domain.evaluation.repetition import repetition
from ftassets.errors import InvalidInput

TaskType = Literal["tool_call", "text", "classification"]
Need = Literal["classes", "fields"]  # what a gate, a metric or a curation step may need of an answer

NO_LABEL = "(none)"  # class of an answer that names none
LONGEST_LABEL = 100  # characters
_SHOWN = 60


class AnswerForm(ABC):
    """One type of task. Everything that depends on the type asks here.

    `needed` says what an answer must be, `lacks` why what needs classes or fields does not apply, `shortest` is the default of
    `dataset.min_chars`. `closed`: answers come from a list that the loop's owners wrote, so that none holds personal data.
    """

    needed: ClassVar[str]
    lacks: ClassVar[Mapping[Need, str]] = {}
    shortest: ClassVar[int] = 20
    closed: ClassVar[bool] = False

    @abstractmethod
    def fault(self, answer: str) -> str | None:
        """Why an expected answer has not the task's form, as in "is empty"; None when it has."""

    def row_fault(self, answer: str) -> str | None:
        """Why no row may teach this answer; None when one may."""
        return self.fault(answer)

    def well_formed(self, answer: str, truncated: bool = False) -> bool:
        """Whether a model's answer has the task's form; `truncated`: it was cut at the token limit."""
        return self.fault(answer) is None

    def was_cut(self, answer: str, well_formed: bool | None) -> bool:
        """Whether an answer that was judged earlier was cut at the token limit, which its text does not show."""
        return False

    @abstractmethod
    def label(self, answer: str) -> str:
        """Class of an answer, NO_LABEL where it names none. Raises ValueError for a task without classes."""

    def unknown_label(self, answer: str) -> str | None:
        """The label (its first 60 characters) that an answer names and the task does not know; None when it names none of that kind."""
        return None

    @property
    def with_class(self) -> str:
        """What an answer is that names a class. Raises ValueError for a task without classes."""
        raise ValueError(self.lacks["classes"])

    def agreement(self, answer: str, expected: str) -> tuple[bool, float]:
        """Whether an answer is the expected one, and the share of fields of either side that agree (0 or 1 where there are no fields).

        Raises InvalidInput if nothing can be compared with the expected answer.
        """
        same = composed(answer.strip()) == composed(expected.strip())
        return same, float(same)

    def no_classes(self, answers: Collection[str]) -> str | None:
        """Why what needs classes says nothing about these answers; None if one of them names a class, or without answers."""
        if why := self.lacks.get("classes"):
            return f"does not apply: {why}"
        if answers and all(self.label(answer) == NO_LABEL for answer in answers):
            return f"no answer names a class: each must be {self.with_class}"
        return None

    def as_json(self, answer: str) -> Any:
        """A row's answer as it stands in a JSON document."""
        return answer

    def from_json(self, value: Any) -> str:
        """The answer that stands in a JSON document. Raises ValueError when it has not the task's form."""
        if not isinstance(value, str) or self.fault(value) is not None:
            raise ValueError(f"the completion {self.fault(value) if isinstance(value, str) else f'is not {self.needed}'}")
        return trimmed(value)

    def canonical(self, answer: str) -> str:
        """The same text for answers that say the same: a JSON object as `comparable_json` writes it, any other answer as it is."""
        call = parse_call(answer)
        return answer if call is None else comparable_json(call)

    def spelled(self, answer: str) -> str:
        """A person's answer as rows write it."""
        return answer

    def knowing(self, answers: Iterable[str]) -> "AnswerForm":
        """The form once these answers are known to be right ones."""
        return self


@dataclass(frozen=True)
class ToolCall(AnswerForm):
    """A JSON object; the value of its field `field` is the class."""

    field: str = "intent"

    needed: ClassVar[str] = "a JSON object"

    def fault(self, answer: str) -> str | None:
        try:
            return None if isinstance(read_json(answer), dict) else "is not a JSON object"
        except json.JSONDecodeError:
            return "is not a JSON object"
        except ValueError as error:
            return f"is not a JSON object: {error}"

    def row_fault(self, answer: str) -> str | None:
        if fault := self.fault(answer):
            return fault
        return "holds half of a surrogate pair" if "\\ud" in answer.lower() and not _encodable(parse_call(answer)) else None

    def label(self, answer: str) -> str:
        call = parse_call(answer)
        if not call or self.field not in call:
            return NO_LABEL
        value = call[self.field]
        return composed(value) if isinstance(value, str) else comparable_json(value)

    @property
    def with_class(self) -> str:
        return f'a JSON object whose field "{self.field}" names the class'

    def as_json(self, answer: str) -> Any:
        return parse_call(answer)

    def from_json(self, value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if fault := self.fault(text):
            raise ValueError(f"the completion {fault}")
        return json.dumps(parse_call(text), ensure_ascii=False)

    def agreement(self, answer: str, expected: str) -> tuple[bool, float]:
        call, wanted = composed(parse_call(answer)), composed(parse_call(expected))
        if wanted is None:
            raise InvalidInput(f"the expected answer is not a JSON object: {expected[:100]!r}")
        if call is None:
            return False, 0.0
        names = call.keys() | wanted.keys()
        agree = sum(name in call and name in wanted and same_json(call[name], wanted[name]) for name in names)
        return same_json(call, wanted), agree / len(names) if names else 1.0


@dataclass(frozen=True)
class Text(AnswerForm):
    """Free text. A model's answer is whole and does not repeat itself."""

    needed: ClassVar[str] = "a text"
    lacks: ClassVar[Mapping[Need, str]] = {
        "classes": "a text task has no classes",
        "fields": "an answer of a text task has no fields",
    }

    def fault(self, answer: str) -> str | None:
        return None if answer.strip() else "is empty"

    def well_formed(self, answer: str, truncated: bool = False) -> bool:
        return not truncated and self.fault(answer) is None and repetition(answer) is None

    def was_cut(self, answer: str, well_formed: bool | None) -> bool:
        return well_formed is False and self.well_formed(answer)

    def label(self, answer: str) -> str:
        raise ValueError(self.lacks["classes"])


@dataclass(frozen=True)
class Classification(AnswerForm):
    """A label, alone: one of `labels`, or one short line while no label is known.

    White space around a label does not count. Case does, because clients compare the answer with a string; only what people write
    is brought into the known spelling (`spelled`).
    """

    labels: frozenset[str] = frozenset()

    needed: ClassVar[str] = "a label of the task"
    lacks: ClassVar[Mapping[Need, str]] = {"fields": "an answer of a classification task has no fields"}
    shortest: ClassVar[int] = 1  # "no" with its label is a whole row
    closed: ClassVar[bool] = True

    def fault(self, answer: str) -> str | None:
        text = composed(answer.strip())
        if not text:
            return "is empty"
        if (label := self.unknown_label(answer)) is not None:
            return f"is an unknown label: {label!r}"
        return None if is_label(text) else f"is not a label: it has more than one line or more than {LONGEST_LABEL} characters"

    def label(self, answer: str) -> str:
        text = composed(answer.strip())
        return text if is_label(text) else NO_LABEL

    def unknown_label(self, answer: str) -> str | None:
        text = composed(answer.strip())
        return text[:_SHOWN] if self.labels and text not in self.labels else None

    @property
    def with_class(self) -> str:
        return "the label of the class, alone"

    def canonical(self, answer: str) -> str:
        return composed(answer.strip())

    def spelled(self, answer: str) -> str:
        text = composed(answer.strip())
        if text in self.labels:
            return text
        alike = [label for label in self.labels if same_label(label, text)]
        return alike[0] if len(alike) == 1 else text

    def knowing(self, answers: Iterable[str]) -> "Classification":
        return self if self.labels else Classification(frozenset(map(self.label, answers)) - {NO_LABEL})


def form_of(task: TaskType, field: str = "intent", labels: Sequence[str] | None = None) -> AnswerForm:
    """The form of a task's answers; `field` names the class of a tool call, `labels` are the known ones of a classification."""
    forms: dict[TaskType, AnswerForm] = {
        "tool_call": ToolCall(field),
        "text": Text(),
        "classification": Classification(frozenset(map(composed, labels or ()))),
    }
    return forms[task]


def is_label(text: str) -> bool:
    """Whether a text can be a label: one line of 1 to 100 characters without white space around it."""
    return 0 < len(text) <= LONGEST_LABEL and text == text.strip() and len(text.splitlines()) == 1


def same_label(one: str, other: str) -> bool:
    """Whether two labels differ in nothing but case and white space."""
    return one.casefold().split() == other.casefold().split()


def parse_call(text: str) -> dict[str, Any] | None:
    """The JSON object an answer consists of, as `read_json` reads it, or None."""
    try:
        value = read_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _encodable(call: Any) -> bool:
    try:
        json.dumps(call, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True
