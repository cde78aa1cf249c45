"""Rows a teacher writes for rare classes."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ftassets.assets.synthetic_examples import synthesise as ask_teacher
from ftassets.backends.teacher.base import TeacherError
from ftassets.backends.teacher.openai import OpenAITeacher
from ftassets.config.loop import LoopConfig, Task
from ftassets.domain.chat import Message, question
from ftassets.domain.dataset.rows import Example
from ftassets.testing.doubles.teacher import completion, scripted_teacher


def loop(url: str | None = None) -> LoopConfig:
    teacher = {"teacher": {"url": url, "model": "large", "rare_below": 3, "rows_per_class": 5}} if url else {}
    return LoopConfig.model_validate(
        {
            "name": "voice",
            "base_model": "base",
            "task": {"system_prompt": "Answer as JSON."},
            "dataset": {"seed": Path("seed.jsonl"), **teacher},
            "golden_set": Path("golden.jsonl"),
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )


def row(number: int, intent: str) -> Example:
    return Example(id=f"{intent}{number}", messages=question(f"{intent} the lamp {number}"), completion=json.dumps({"intent": intent}))


ROWS = [*(row(n, "on") for n in range(4)), row(0, "dim"), row(0, "off"), row(0, "wink")]  # dim, off and wink are rare


def lines(intent: str, *prompts: str) -> str:
    return "\n".join(json.dumps({"kind": "typical", "prompt": prompt, "completion": {"intent": intent}}) for prompt in prompts)


def synthesise(*script: Response) -> tuple[list[Example], list[Any], int]:
    with scripted_teacher(*script) as server:
        config = loop(server.url)
        assert config.dataset.teacher is not None
        rows, bad = ask_teacher(OpenAITeacher(config.dataset.teacher, backoff=0.01), ROWS, config)
        return rows, bad, len(server.asked)


def test_a_teacher_fills_the_rare_classes() -> None:
    rows, bad, asked = synthesise(
        JSONResponse({}, 429, {"retry-after": "0"}),
        completion(lines("dim", "less light", "dim the lamp 0")),  # the second one is known
        completion(None, refusal="no"),
        completion("Sorry, what?\n" + lines("wink", "less light", "wink at me")),  # written for dim already
    )
    assert [(r.prompt, r.source) for r in rows] == [("less light", "synthetic"), ("wink at me", "synthetic")]
    assert [b.where for b in bad] == ["teacher:dim:2", "teacher:off", "teacher:wink:1", "teacher:wink:2"]
    assert ["exists already" in b.reason for b in bad] == [True, False, False, True]
    assert asked == 4
    assert len({r.group for r in rows}) == 2


def test_a_class_that_only_conversations_have_is_not_asked_for_and_said_so() -> None:
    talk = tuple(Message(role=role, content=text) for role, text in (("user", "lamp"), ("assistant", "Off?"), ("user", "yes")))  # type: ignore[arg-type]
    chats = [row(n, "off").model_copy(update={"messages": talk}) for n in range(2)]
    with scripted_teacher(completion(lines("dim", "less light"))) as server:
        config = loop(server.url)
        assert config.dataset.teacher is not None
        rows, bad = ask_teacher(OpenAITeacher(config.dataset.teacher), [row(n, "on") for n in range(4)] + [row(0, "dim"), *chats], config)
        assert "assistant: Off?" not in json.dumps(server.asked)
    assert [r.prompt for r in rows] == ["less light"]
    assert [(b.where, b.reason.split(",")[0]) for b in bad] == [("teacher:off", "not asked: all its rows are conversations")]


def test_what_a_teacher_wrote_is_kept_when_it_goes_away() -> None:
    rows, bad, _ = synthesise(completion(lines("dim", "less light")), PlainTextResponse("no more credit", 402))
    assert [r.prompt for r in rows] == ["less light"]
    assert [(b.where, "402" in b.reason) for b in bad] == [("teacher:off", True), ("teacher:wink", True)]


def test_a_teacher_that_cannot_be_asked_at_all_fails() -> None:
    with pytest.raises(TeacherError, match="401"):
        synthesise(PlainTextResponse("who are you", 401))


def test_a_teacher_is_not_asked_when_no_row_names_a_class() -> None:
    with scripted_teacher() as server:
        config = loop(server.url).model_copy(update={"task": Task(system_prompt="Answer as JSON.", label="queue")})
        assert config.dataset.teacher is not None
        rows, (bad,) = ask_teacher(OpenAITeacher(config.dataset.teacher), ROWS, config)
        assert (rows, server.asked) == ([], [])
        assert bad.reason == 'not asked: no answer names a class: each must be a JSON object whose field "queue" names the class'
