"""What a task's type means: the form of an answer, its class, and when two answers say the same."""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ftassets.domain.canonical import comparable_json, composed, read_json, same_json
from ftassets.domain.chat import trimmed
from ftassets.domain.evaluation.call_schema import call_fault
from ftassets.domain.evaluation.repetition import repetition
from ftassets.domain.evaluation.tool_calls import CallScores, fields_agreeing, score_calls
from ftassets.errors import InvalidInput

TaskType = Literal["tool_call", "text", "classification"]
CallOrder = Literal["one", "unordered", "ordered"]  # calls of tools that an answer may make
Need = Literal["classes", "fields"]  # what a gate, a metric or a curation step may need of an answer

NO_LABEL = "(none)"  # class of an answer that names none
LONGEST_LABEL = 100  # characters
_SHOWN = 60


class AnswerForm(ABC):
    """One type of task. Everything that depends on the type asks here.

    `needed` says what an answer must be, `lacks` why what needs classes or fields does not apply, `shortest` is the default of
    `dataset.min_chars`. `closed`: answers come from a list that the loop's owners wrote, so that none holds personal data. `prose`: an
    answer is in a language.
    """

    needed: ClassVar[str]
    lacks: ClassVar[Mapping[Need, str]] = {}
    shortest: ClassVar[int] = 20
    closed: ClassVar[bool] = False
    prose: ClassVar[bool] = False

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
    """A JSON object; the value of its field `field` names the tool, which is the class.

    With `calls` unordered or ordered an answer may be a list of such objects too, whose order does not or does count; its class is
    that of its calls together. Each call fits `schema`, a JSON Schema as text, where there is one.
    """

    field: str = "intent"
    schema: str | None = None
    calls: CallOrder = "one"

    needed: ClassVar[str] = "a JSON object"

    def fault(self, answer: str) -> str | None:
        wanted = "a JSON object" if self.calls == "one" else "a JSON object or a list of them"
        try:
            found = self._calls_in(read_json(answer))
        except json.JSONDecodeError:
            return f"is not {wanted}"
        except ValueError as error:
            return f"is not {wanted}: {error}"
        if found is None:
            return f"is not {wanted}"
        faults = (call_fault(self.schema, call) for call in found) if self.schema else ()
        return next((f"does not fit task.call_schema {fault}" for fault in faults if fault), None)

    def row_fault(self, answer: str) -> str | None:
        if fault := self.fault(answer):
            return fault
        return "holds half of a surrogate pair" if "\\ud" in answer.lower() and not _encodable(self.calls_of(answer)) else None

    def calls_of(self, answer: str) -> list[dict[str, Any]] | None:
        """The calls that an answer makes, None where it has not the form; they may break the schema."""
        try:
            return self._calls_in(read_json(answer))
        except ValueError:
            return None

    def _calls_in(self, value: Any) -> list[dict[str, Any]] | None:
        found = value if isinstance(value, list) and self.calls != "one" else [value]
        return found if all(isinstance(call, dict) for call in found) else None

    def label(self, answer: str) -> str:
        names = [self._name(call) for call in self.calls_of(answer) or ()]
        return " + ".join(names if self.calls == "ordered" else sorted(names)) or NO_LABEL

    def _name(self, call: Mapping[str, Any]) -> str:
        if self.field not in call:
            return NO_LABEL
        value = call[self.field]
        return composed(value) if isinstance(value, str) else comparable_json(value)

    @property
    def with_class(self) -> str:
        return f'a JSON object whose field "{self.field}" names the class'

    def as_json(self, answer: str) -> Any:
        return self._alone(self.calls_of(answer))

    def from_json(self, value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if fault := self.fault(text):
            raise ValueError(f"the completion {fault}")
        return json.dumps(self.as_json(text), ensure_ascii=False)

    def canonical(self, answer: str) -> str:
        calls = self.calls_of(answer)
        return answer if calls is None else comparable_json(self._alone(self._sorted(calls)))

    def agreement(self, answer: str, expected: str) -> tuple[bool, float]:
        said, wanted = self.calls_of(answer), self.calls_of(expected)
        if wanted is None:
            raise InvalidInput(f"the expected answer is not a JSON object: {expected[:100]!r}")
        if said is None:
            return False, 0.0
        return same_json(self._sorted(said), self._sorted(wanted)), fields_agreeing(said, wanted, self.calls == "ordered")

    def scores(self, answer: str, expected: str) -> CallScores:
        """How far the calls of an answer are those expected. Raises InvalidInput if the expected answer makes none."""
        if (wanted := self.calls_of(expected)) is None:
            raise InvalidInput(f"the expected answer is not a JSON object: {expected[:100]!r}")
        return score_calls(self.calls_of(answer), wanted, self.field, self.calls == "ordered")

    def _sorted(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(calls, key=comparable_json) if self.calls == "unordered" else calls

    @staticmethod
    def _alone(calls: list[dict[str, Any]] | None) -> Any:
        return calls[0] if calls and len(calls) == 1 else calls


@dataclass(frozen=True)
class Text(AnswerForm):
    """Free text. A model's answer is whole and does not repeat itself."""

    needed: ClassVar[str] = "a text"
    lacks: ClassVar[Mapping[Need, str]] = {
        "classes": "a text task has no classes",
        "fields": "an answer of a text task has no fields",
    }
    prose: ClassVar[bool] = True

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


def form_of(
    task: TaskType,
    field: str = "intent",
    labels: Sequence[str] | None = None,
    schema: Mapping[str, Any] | None = None,
    calls: CallOrder = "one",
) -> AnswerForm:
    """The form of a task's answers; `field`, `schema` and `calls` are those of tool calls, `labels` the known ones of a classification."""
    forms: dict[TaskType, AnswerForm] = {
        "tool_call": ToolCall(field, json.dumps(schema, sort_keys=True) if schema is not None else None, calls),
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
