"""Labelling batches as Label Studio's tasks, the model's answer filled in as a prediction.

The project's labelling interface:
`<View><Paragraphs name="conversation" value="$conversation" layout="dialogue" nameKey="role" textKey="content"/>
<Text name="prompt" value="$prompt"/><TextArea name="completion" toName="prompt" editable="true" maxSubmissions="1"/></View>`
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftassets.domain.dataset.labelling.fields import Parsed, carried, collect, json_list, shown, to_label
from ftassets.domain.dataset.labelling.label import Label
from ftassets.domain.dataset.labelling.select import Item

QUESTION, OBJECT = "completion", "prompt"  # names of the interface's text area and of what it belongs to


def to_text(items: Sequence[Item]) -> str:
    """A JSON list of tasks."""
    tasks = [
        {
            "data": {
                "request_id": item.request_id,
                "prompt": item.asked.last_text,
                "conversation": shown(item.asked),
                "why": item.why,
            },
            "predictions": [{"model_version": item.version, "result": [_result(item)]}] if item.answer else [],
        }
        for item in items
    ]
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def parse(text: str) -> Parsed:
    """Annotations that were not skipped as labels, and the tasks without one. Raises ValueError unless the text is a list of tasks."""
    return collect(json_list(text, "task"), _labels)


def _result(item: Item) -> dict[str, Any]:
    return {"id": "answer", "from_name": QUESTION, "to_name": OBJECT, "type": "textarea", "value": {"text": [item.answer]}}


def _labels(task: Any) -> Iterator[Label]:
    data = task.get("data") or {}
    done = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    answers = [(one, texts) for one in done if (texts := _texts(one))]
    if not answers:
        raise ValueError("no annotator answered it")
    for annotation, texts in answers:
        if len(texts) > 1:
            raise ValueError(f"one annotation has {len(texts)} answers")
        who = annotation.get("completed_by")
        name = (who.get("email") or who.get("id")) if isinstance(who, Mapping) else who
        at = annotation.get("updated_at") or annotation.get("created_at")
        yield to_label(data.get("request_id"), texts[0], name, at, carried(data.get("conversation")))


def _texts(annotation: Mapping[str, Any]) -> list[str]:
    """Texts of the text area: one, or a list with one per submission."""
    values = [result["value"]["text"] for result in annotation["result"] if result.get("from_name") == QUESTION]
    return [text for value in values for text in (value if isinstance(value, list) else [value]) if text.strip()]
