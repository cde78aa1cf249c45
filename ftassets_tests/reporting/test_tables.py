import json
import math

import dagster as dg
import numpy as np

from ftassets.domain.chat import Asked, conversation
from ftassets.reporting.tables import answer_cell, markdown_table, request_cell, shortened, table, without_quotes

DIGEST = "0123456789ab" + "c" * 52


def test_a_table_is_dagsters_own_and_keeps_numbers_as_numbers() -> None:
    made = table(["name", "value", "rows", "mixed"], [("a", 0.12345, 3, ""), ("b", np.float64(1.0), 4, 0.5)])
    assert isinstance(made, dg.TableMetadataValue)
    assert [(column.name, column.type) for column in made.schema.columns] == [
        ("name", "string"), ("value", "float"), ("rows", "int"), ("mixed", "string"),
    ]  # fmt: skip
    assert [record.data for record in made.records] == [
        {"name": "a", "value": 0.123, "rows": 3, "mixed": ""},
        {"name": "b", "value": 1.0, "rows": 4, "mixed": 0.5},
    ]


def test_every_cell_can_be_stored_as_json() -> None:
    made = table(["value"], [(math.nan,), (math.inf,), (None,), ({"a": 1},)])
    assert isinstance(made, dg.TableMetadataValue)
    told = [record.data["value"] for record in made.records]
    assert told == ["nan", "inf", "None", "{'a': 1}"]
    json.dumps(told, allow_nan=False)


def test_no_digest_widens_a_table() -> None:
    made = table(["version", "reason"], [(DIGEST, f"continues from {DIGEST}; seed 7")])
    assert isinstance(made, dg.TableMetadataValue)
    assert made.records[0].data == {"version": "0123456789ab", "reason": "continues from 0123456789ab; seed 7"}
    assert shortened("commit " + DIGEST[:40]) == "commit 0123456789ab"
    assert shortened("0123456789abc is no digest") == "0123456789abc is no digest"


def test_a_table_without_rows_says_so() -> None:
    assert table(["line", "reason"], []) == dg.MetadataValue.text("none")


def test_markdown_keeps_its_cells_on_one_line() -> None:
    assert markdown_table(["a", "b"], [("x|y", 0.5), ("one\ntwo", 3)]) == "| a | b |\n|---|---|\n| x\\|y | 0.500 |\n| one two | 3 |"


def test_a_conversation_is_shown_with_its_last_message_first_and_short() -> None:
    assert request_cell(Asked.of("lights on")) == "lights on"
    assert request_cell(Asked.of("x" * 400)) == "x" * 300 + " ..."
    turns = [("user", "hello"), ("assistant", "Off?"), ("user", "yes")]
    short = Asked(messages=conversation([{"role": role, "content": text} for role, text in turns]))
    assert request_cell(short) == "yes (after: user: hello / assistant: Off?)"
    system = [("system", "s" * 500), *turns]
    long = request_cell(Asked(messages=conversation([{"role": role, "content": text} for role, text in system])))
    assert long.startswith("yes (after: ... sss")
    assert long.endswith("assistant: Off?)")
    assert len(long) < 180


def test_what_people_wrote_is_shown_without_personal_data() -> None:
    assert request_cell(Asked.of("write to ann@example.com")) == "write to <EMAIL>"
    assert answer_cell('{"to": "ann@example.com"}') == '{"to": "<EMAIL>"}'


def test_reasons_are_shown_without_what_they_quote_of_users() -> None:
    assert without_quotes("the answer is an unknown label: 'my secret'") == "the answer is an unknown label: '...'"
    assert without_quotes("the answer holds the control token '<|im_end|>'") == "the answer holds the control token '<|im_end|>'"
