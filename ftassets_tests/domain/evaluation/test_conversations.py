"""Golden rows of one conversation are found, whatever says so, and others are not."""

import json

from ftassets.domain.dataset.rows import Example, parse_jsonl
from ftassets.domain.evaluation.answer_form import form_of
from ftassets.domain.evaluation.conversations import distinct, linked
from ftassets.domain.evaluation.scored_turns import conversation_of, last_answers, scored_turns, turn_number

TEXT = form_of("text")


def row(name: str, *said: str, **fields: object) -> str:
    messages = [{"role": ("user", "assistant")[n % 2], "content": each} for n, each in enumerate(said)]
    return json.dumps({"id": name, "messages": messages, **fields})


def golden(*lines: str) -> list[Example]:
    rows, bad = parse_jsonl("\n".join(lines), "golden")
    assert not bad
    return rows


def conversations(*lines: str) -> dict[str, str | None]:
    rows = golden(*lines)
    found = linked(rows)
    assert [each.id for each in found] == [each.id for each in rows]
    return {each.id: conversation_of(each) for each in found}


PARCEL = ("Where is my parcel?", "On its way.")


def test_a_row_that_begins_with_another_one_is_of_its_conversation() -> None:
    longer, longest = (*PARCEL, "And the other one?", "Lost."), (*PARCEL, "And the other one?", "Lost.", "Why?", "Rain.")
    found = conversations(row("a", "Open the door", "ok"), row("b", *longest), row("c", *PARCEL), row("d", *longer))
    assert found == {"a": None, "b": "b", "c": "b", "d": "b"}


def test_rows_that_ask_the_same_are_one_conversation_and_a_copy_counts_once() -> None:
    lines = (
        row("a", *PARCEL), row("b", *PARCEL), row("c", PARCEL[0], "Lost."), row("d", *PARCEL, slice="hard"),
        row("e", "where  is my PARCEL?", PARCEL[1]),
    )  # fmt: skip
    assert [each.id for each in distinct(golden(*lines), TEXT)] == ["a", "c", "d", "e"]
    assert conversations(*lines) == dict.fromkeys("abcde", "a")


def test_rows_that_name_their_conversation_are_of_it() -> None:
    lines = (
        row("a", "the first thing", "x", conversation_id=7),
        row("b", "another thing", "y", conversation_id="7"),
        row("c", "a third thing", "z", conversation_id=8),
        row("d", "a fourth thing", "z", group="conversation:7"),
        row("e", "a fifth thing", "z", group="template"),
        row("f", "a sixth thing", "z", group="template", conversation_id=7),
        row("g", "a seventh thing", "z", conversation_id=True),
    )
    assert conversations(*lines) == {"a": "a", "b": "a", "c": None, "d": "a", "e": None, "f": None, "g": None}


def test_every_answer_of_linked_rows_is_of_their_conversation() -> None:
    rows = linked(golden(row("a", *PARCEL), row("b", *PARCEL, "And the other one?", "Lost."), row("c", "Open the door", "ok")))
    turns = [turn for each in rows for turn in scored_turns(each)]
    assert [(each.id, conversation_of(each), turn_number(each.id)) for each in turns] == [
        ("a", "a", None), ("b#1", "a", 1), ("b#2", "a", 2), ("c", None, None),
    ]  # fmt: skip
    assert [each.id for each in last_answers(turns)] == ["b#2", "c"]
