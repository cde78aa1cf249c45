"""Labelling batches as Label Studio's tasks, the model's answer filled in as a prediction.

The project's labelling interface:
`<View><Paragraphs name="conversation" value="$conversation" layout="dialogue" nameKey="role" textKey="content"/>
<Text name="prompt" value="$prompt"/><Text name="comment" value="$comment"/>
<TextArea name="completion" toName="prompt" editable="true" maxSubmissions="1"/></View>`
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftassets.domain.dataset.labelling.fields import Parsed, carried, collect, json_list, labelled, shown
from ftassets.domain.dataset.labelling.label import Label
from ftassets.domain.dataset.labelling.select import Item
from ftassets.wording import amount

QUESTION, OBJECT = "completion", "prompt"  # names of the interface's text area and of what it belongs to


def to_text(items: Sequence[Item], batch: str) -> str:
    """A JSON list of tasks."""
    tasks = [
        {
            "data": {
                "request_id": item.request_id,
                "prompt": item.asked.last_text,
                "conversation": shown(item.asked),
                "why": item.why,
                "comment": item.comment or "",
                "batch": batch,
            },
            "predictions": [{"model_version": item.version, "result": [_result(item)]}] if item.answer else [],
        }
        for item in items
    ]
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def parse(text: str) -> Parsed:
    """Annotations that were submitted as labels, and the tasks without one. Raises ValueError unless the text is a list of tasks.

    The text is an export as JSON or as JSON_MIN, which lacks what was skipped, and does not say what is a ground truth.
    """
    return collect(json_list(text, "task"), _labels)


def _result(item: Item) -> dict[str, Any]:
    return {"id": "answer", "from_name": QUESTION, "to_name": OBJECT, "type": "textarea", "value": {"text": [item.answer]}}


def _labels(task: Any) -> Iterator[Label | ValueError]:
    if "data" not in task and "annotation_id" in task:  # JSON_MIN: the fields of the data, and the annotation's among them
        value, at = task.get(QUESTION), task.get("updated_at") or task.get("created_at")
        yield from _label(task, _listed(value), task.get("annotator"), at, False)
        return
    data = task.get("data") or {}
    done = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    rejected = [one for one in done if _is_rejected(one)]
    answers = [(one, texts) for one in done if one not in rejected and (texts := _texts(one))]
    if not answers:
        raise ValueError("a reviewer rejected its annotation" if rejected else "no annotator answered it")
    for annotation, texts in answers:
        who = annotation.get("completed_by")
        name = (who.get("email") or who.get("id")) if isinstance(who, Mapping) else who
        at = annotation.get("updated_at") or annotation.get("created_at")
        yield from _label(data, texts, name, at, annotation.get("ground_truth") is True)


def _label(data: Mapping[str, Any], texts: list[str], name: Any, at: Any, truth: bool) -> Iterator[Label | ValueError]:
    if len(texts) > 1:
        yield ValueError(f"one annotation has {amount(len(texts), 'answer')}")
    else:
        yield from labelled(data.get("request_id"), "".join(texts), name, at, carried(data.get("conversation")), truth=truth)


def _is_rejected(annotation: Mapping[str, Any]) -> bool:
    """Whether its last review rejected it."""
    reviews = [review for review in annotation.get("reviews") or [] if isinstance(review.get("accepted"), bool)]
    newest = max(reversed(reviews), key=lambda review: str(review.get("created_at") or ""), default={"accepted": True})
    return annotation.get("last_action") == "rejected" or not newest["accepted"]


def _texts(annotation: Mapping[str, Any]) -> list[str]:
    """Texts of the text area: one, or a list with one per submission."""
    return [text for result in annotation["result"] if result.get("from_name") == QUESTION for text in _listed(result["value"]["text"])]


def _listed(value: Any) -> list[str]:
    """The texts in what a text area has: a text, a list of such, or an object with the list as JSON_MIN writes it."""
    if isinstance(value, Mapping):
        return _listed(value["text"])
    if isinstance(value, list):
        return [text for one in value for text in _listed(one)]
    return [value] if value is not None and value.strip() else []
