"""What annotators answered, as training rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pydantic import ValidationError

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.curation.text import answer_key
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.traffic.exchange import hashed_user
from ftassets.errors import reason_of


@dataclass(frozen=True)
class Label:
    """One annotator's answer to one request; `annotator` as their tool names them, `at` in epoch seconds where it says.

    `asked` is the conversation as their file has it, if it has all of it. `truth` says that their tool marks it as the right one. `batch`
    is the id that the export wrote.
    """

    request_id: str
    completion: str
    annotator: str
    at: float | None
    asked: Asked | None = None
    truth: bool = False
    batch: str | None = None


def to_examples(
    labels: Sequence[Label], batch: str, form: AnswerForm, logged: Mapping[str, Asked] = MappingProxyType({})
) -> tuple[list[Example], list[Quarantined], set[str]]:
    """One row per request and annotator, the labels that make none (not in the form the task asks for, annotators who do not agree, or a
    request that is unknown), and the requests on which annotators do not agree.

    Of each annotator the newest label of a request counts, of those without a time the last one, and all labels without an annotator
    are one's; where there is a ground truth, only that. The conversation is that of `logged`, the requests of the log by id; of a request
    that is not there, that of the file. Answers agree when they say the same (`answer_key`). The newest label comes first; the annotator
    becomes `hashed_user`, and gets the log's own hash where the row is stored.
    """
    bad: list[Quarantined] = []
    by_request: dict[str, list[Label]] = defaultdict(list)
    counting, replaced = _counting(labels)
    bad += [_quarantined(batch, label, reason) for label, reason in replaced]
    for label in counting:
        label = replace(label, completion=form.spelled(label.completion))
        if (fault := form.fault(label.completion)) is not None:
            bad.append(_quarantined(batch, label, f"the answer {fault}"))
        else:
            by_request[label.request_id].append(label)
    rows: list[Example] = []
    apart: set[str] = set()
    for request_id, answers in by_request.items():
        if len({answer_key(label.completion, form) for label in answers}) > 1:
            apart.add(request_id)
            reason = f"{len(answers)} annotators do not agree on this request, one says "
            bad += [_quarantined(batch, label, f"{reason}{label.completion[:80]!r}") for label in answers]
            continue
        newest = sorted(reversed(answers), key=lambda one: one.at or 0.0, reverse=True)
        asked = logged.get(request_id) or newest[0].asked
        if asked is None:
            reason = "the traffic log has no such request of texts, and the file has no messages of it"
            bad += [_quarantined(batch, label, reason) for label in answers]
            continue
        own: dict[str, Label] = {}
        for label in newest:
            own.setdefault(label.annotator, label)
        for label in own.values():
            try:
                row = _row(label, asked)
            except ValidationError as error:
                bad.append(_quarantined(batch, label, reason_of(error)))
            else:
                rows.append(row)
    return rows, bad, apart


def _row(label: Label, asked: Asked) -> Example:
    return Example(
        id=f"label:{label.request_id}",
        messages=asked.messages,
        tools=asked.tools,
        completion=label.completion,
        source="label",
        user=hashed_user(label.annotator) or None,
        request_id=label.request_id,
        at=label.at,
    )


def _counting(labels: Sequence[Label]) -> tuple[list[Label], list[tuple[Label, str]]]:
    """The labels that count, in their order, and the others with the reason; a label without an annotator stands for itself."""
    truths = {label.request_id for label in labels if label.truth}
    newest: dict[tuple[str, str], int] = {}
    replaced: dict[int, str] = {}
    for place, label in enumerate(labels):
        if label.request_id in truths and not label.truth:
            replaced[place] = "another annotation of this request is the ground truth"
        elif label.annotator:
            key = (label.request_id, label.annotator)
            other = newest.setdefault(key, place)
            if other != place:
                older, newest[key] = sorted((other, place), key=lambda one: labels[one].at or 0.0)
                replaced[older] = "the same annotator answered this request again later"
    return (
        [label for place, label in enumerate(labels) if place not in replaced],
        [(labels[place], reason) for place, reason in sorted(replaced.items())],
    )


def _quarantined(batch: str, label: Label, reason: str) -> Quarantined:
    return Quarantined(f"label:{batch}:{label.request_id}", reason, label.completion[:500])
