"""What annotators answered, as training rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pydantic import ValidationError

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.curation.text import answer_key
from ftassets.domain.dataset.rows import Example, Quarantined, reason_of
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import hashed_user


@dataclass(frozen=True)
class Label:
    """One annotator's answer to one request; `annotator` as their tool names them, `at` in epoch seconds where it says.

    `asked` is the conversation as their file has it, if it has all of it.
    """

    request_id: str
    completion: str
    annotator: str
    at: float | None
    asked: Asked | None = None


def to_examples(
    labels: Sequence[Label], batch: str, form: AnswerForm, logged: Mapping[str, Asked] = MappingProxyType({})
) -> tuple[list[Example], list[Quarantined]]:
    """One row per request, and the labels that make none: not in the form the task asks for, annotators who do not agree, or a request
    that is unknown.

    The conversation is that of `logged`, the requests of the log by id; of a request that is not there, that of the file. Answers
    agree when they say the same (`answer_key`). The newest label gives the row; the annotator becomes a hash.
    """
    bad: list[Quarantined] = []
    by_request: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        label = replace(label, completion=form.spelled(label.completion))
        if (fault := form.fault(label.completion)) is not None:
            bad.append(_quarantined(batch, label, f"the answer {fault}"))
        else:
            by_request[label.request_id].append(label)
    rows = []
    for request_id, answers in by_request.items():
        if len({answer_key(label.completion, form) for label in answers}) > 1:
            bad += [_quarantined(batch, label, f"{len(answers)} annotators do not agree on this request") for label in answers]
            continue
        label = max(answers, key=lambda one: one.at or 0.0)
        asked = logged.get(request_id) or label.asked
        if asked is None:
            reason = "the traffic log has no such request of texts, and the file has no messages of it"
            bad += [_quarantined(batch, label, reason) for label in answers]
            continue
        try:
            row = Example(
                id=f"label:{request_id}",
                messages=asked.messages,
                tools=asked.tools,
                completion=label.completion,
                source="label",
                user=hashed_user(label.annotator) or None,
                request_id=request_id,
                at=label.at,
            )
        except ValidationError as error:
            bad.append(_quarantined(batch, label, reason_of(error)))
        else:
            rows.append(row)
    return rows, bad


def _quarantined(batch: str, label: Label, reason: str) -> Quarantined:
    return Quarantined(f"label:{batch}:{label.request_id}", reason, label.completion[:500])
