"""What annotators answered, as training rows."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from ftassets.domain.chat import question
from ftassets.domain.dataset.curation.text import answer_key
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import hashed_user


@dataclass(frozen=True)
class Label:
    """One annotator's answer to one request; `annotator` as their tool names them, `at` in epoch seconds where it says."""

    request_id: str
    prompt: str
    completion: str
    annotator: str
    at: float | None


def to_examples(labels: Sequence[Label], batch: str, form: AnswerForm) -> tuple[list[Example], list[Quarantined]]:
    """One row per request, and the labels that make none: not in the form the task asks for, or annotators who do not agree.

    Answers agree when they say the same (`answer_key`). The newest label gives the row; the annotator becomes a hash.
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
        try:
            row = Example(
                id=f"label:{request_id}",
                messages=question(label.prompt),
                completion=label.completion,
                source="label",
                user=hashed_user(label.annotator) or None,
                request_id=request_id,
                at=label.at,
            )
        except ValidationError as error:
            bad.append(_quarantined(batch, label, error.errors()[0]["msg"]))
        else:
            rows.append(row)
    return rows, bad


def _quarantined(batch: str, label: Label, reason: str) -> Quarantined:
    return Quarantined(f"label:{batch}:{label.request_id}", reason, label.completion[:500])
