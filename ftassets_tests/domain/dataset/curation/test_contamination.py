"""No row that gives away a golden row comes into the dataset."""

import json
from typing import Any

import numpy as np
import pytest

from ftassets.domain.chat import Message, ToolCall, question
from ftassets.domain.dataset.curation import curate
from ftassets.domain.dataset.curation.contamination import FRAMES, drop_contaminated
from ftassets.domain.dataset.curation.near import drop_near
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import LOOP, axis, call, config, pool, request, row, talk

LONG = "remind me to buy two litres of milk on my way home from work tomorrow"


def golden(*prompts: str, intent: str = "On") -> list[Example]:
    return [Example(id=f"g{n}", messages=question(prompt), completion=call(intent)) for n, prompt in enumerate(prompts)]


def reason(prompt: str, asked: list[Example], intent: str = "Off", **dataset: Any) -> str | None:
    return drop_contaminated(pool([row(0, intent, prompt=prompt)], golden=asked), config(**dataset)).dropped.get(0)


@pytest.mark.parametrize(
    ("prompt", "asked", "wanted"),
    [
        ("lights  ON!", "lights on", "is golden row g0"),
        ("stop", "Stop.", "is golden row g0"),
        (f"please {LONG} or so", LONG, "shares 8 words in a row with golden row g0"),
        ("buy two litres of milk on my way", LONG, "shares 8 words in a row with golden row g0"),
        ("buy two litres of milk", LONG, "is part of golden row g0"),
        ("could you turn the lights on for me", "turn the lights on", "contains golden row g0"),
        ("turn the lights on", "could you turn the lights on for me", "is part of golden row g0"),
        ("stop the music in the kitchen", "stop", None),
        ("the music", "stop the music in the kitchen", None),
        ("buy three litres of milk on the way to work", LONG, None),
        ("turn the light onwards", "turn the light on", None),
    ],
)
def test_shared_words_give_a_golden_row_away_in_both_directions(prompt: str, asked: str, wanted: str | None) -> None:
    assert reason(prompt, golden(asked)) == wanted


PARCEL = "where is the parcel that I ordered last week?"
ARABIC = "أين الطرد الذي طلبته الأسبوع الماضي من المتجر"
WRAPPED = {
    "entities": PARCEL.replace(" ", "&nbsp;"),
    "entities in entities": PARCEL.replace(" ", "&amp;#160;"),
    "escapes": "".join(f"\\u{ord(char):04x}" for char in PARCEL),
    "JSON in JSON": json.dumps({"said": json.dumps({"text": f"Grüße\n{PARCEL}\nbye"})}),
    "address": PARCEL.replace(" ", "%20"),
    "zero-width characters": "\u200b".join(PARCEL),
    "zero-width spaces": PARCEL.replace(" ", "\u200b"),
    "joiners": "\u2060".join(PARCEL),
    "fillers": "\u115f".join(PARCEL),
    "full width": "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in PARCEL),
    "accents": PARCEL.replace("e", "e\u0301"),
    "underscores": PARCEL.replace(" ", "_"),
    "Markdown": PARCEL.replace(" ", " **"),
}


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED.keys())
def test_whatever_a_golden_question_is_wrapped_in_it_is_told(text: str) -> None:
    assert reason(text, golden(PARCEL), skip=["near"]) is not None
    assert reason(f"So: {text} Please.", golden(PARCEL), skip=["near"]) is not None
    if text != WRAPPED["zero-width spaces"]:  # which a golden file has only by mistake
        assert reason(PARCEL, golden(text), skip=["near"]) is not None


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        (ARABIC.replace("ل", "ل\u0640"), ARABIC),
        ("أَيْنَ الطَّرْدُ الَّذِي طَلَبْتُهُ الأُسْبُوعَ المَاضِي مِنَ المَتْجَرِ", ARABIC),
        ("אֵיפֹה הַחֲבִילָה שֶׁהִזְמַנְתִּי", "איפה החבילה שהזמנתי"),
        ("don\u02bct stop the music", "don´t stop the music"),
        ("don\u2019t stop the music", "don't stop the music"),
        ("die STRASSE nach Köln", "die Straße nach Koln"),
        ("wake me in ٥ minutes", "wake me in 5 minutes"),
    ],
)
def test_marks_quotes_and_digits_do_not_hide_a_golden_question(prompt: str, asked: str) -> None:
    assert reason(prompt, golden(asked), skip=["near"]) == "is golden row g0"


@pytest.mark.parametrize(
    ("prompt", "asked"), [("what is 10² in words", "what is 102 in words"), ("か が を", "か か を"), ("दिन की बात", "दान का बात")]
)
def test_what_means_something_else_is_another_question(prompt: str, asked: str) -> None:
    assert reason(prompt, golden(asked), skip=["near"]) is None


def conversation(*said: tuple[str, Any], answer: str = "ok", tools: str | None = None) -> Example:
    made = [
        Message(role=role, tool_calls=(ToolCall(id="c", name="ask", arguments=text["arguments"]),))
        if isinstance(text, dict)
        else Message(role=role, content=text)  # type: ignore[arg-type]
        for role, text in said
    ]
    return Example(id="r0", messages=tuple(made), completion=answer, tools=tools)


CALL = {"arguments": json.dumps({"query": PARCEL})}
HI, BYE = ("user", "hello there"), ("user", "thanks a lot")


@pytest.mark.parametrize(
    "row",
    [
        conversation(HI, ("assistant", CALL), ("tool", "nothing")),
        conversation(HI, ("assistant", {"arguments": "{}"}), ("tool", json.dumps([{"q": PARCEL}])), ("assistant", "so"), BYE),
        conversation(HI, ("assistant", {"arguments": "{}"}), ("tool", f"FAQ 1: {PARCEL}")),
        conversation(("user", PARCEL), ("assistant", "I do not know"), BYE),
        conversation(HI, ("assistant", f"Do you ask: {PARCEL}"), BYE),
        conversation(HI, answer=f"People ask {PARCEL}"),
        conversation(("system", f"Known: {PARCEL}"), HI),
        conversation(HI, tools=json.dumps([{"type": "function", "function": {"name": "ask", "description": PARCEL}}])),
    ],
)
def test_a_golden_question_gives_a_row_away_in_any_of_its_texts(row: Example) -> None:
    assert "golden row g0" in drop_contaminated(pool([row], golden=golden(PARCEL)), LOOP).dropped[0]


def test_the_question_before_a_golden_tool_result_is_protected_too() -> None:
    asked = conversation(("user", PARCEL), ("assistant", CALL), ("tool", "depot"))
    found = drop_contaminated(pool([row(0, prompt=PARCEL), row(1)], golden=[asked]), LOOP).dropped
    assert found == {0: "one of its texts shares 8 words in a row with the question of golden row r0"}


def test_runs_do_not_cross_from_one_text_into_the_next() -> None:
    cut = conversation(("user", "where is the parcel"), ("assistant", "that I ordered last week?"), BYE)
    assert not drop_contaminated(pool([cut], golden=golden(PARCEL)), LOOP).dropped


def test_a_question_in_what_many_rows_have_in_common_is_counted() -> None:
    rows = [talk(n, request(n), system=f"Answer. Example: {PARCEL}") for n in range(FRAMES)]
    outcome = drop_contaminated(pool(rows, golden=golden(PARCEL)), LOOP)
    assert not outcome.dropped
    assert outcome.counts["golden questions in a system message or tools that many rows have"] == 1
    assert len(drop_contaminated(pool(rows[1:], golden=golden(PARCEL)), LOOP).dropped) == FRAMES - 1


def test_a_golden_row_with_personal_data_keeps_its_copies_out() -> None:
    prompt = "send it to bob@example.com today"
    curated = curate([row(0, prompt=prompt), row(1)], None, golden(prompt, intent="Off"), None, {}, config(min_rows=1))
    assert [line.where for line in curated.dropped] == ["contamination:r0000"]


CHINESE = "请把厨房的灯打开然后把客厅的温度调到二十度再关上窗户"
JAPANESE = "キッチンの電気をつけてからリビングの温度を二十度にして窓を閉めてください"
THAI = "ช่วยเปิดไฟในห้องครัวแล้วตั้งอุณหภูมิห้องนั่งเล่นเป็นยี่สิบองศาและปิดหน้าต่างด้วย"
HINDI = "रसोई की बत्ती चालू करो और फिर बैठक का तापमान बीस डिग्री कर दो"


@pytest.mark.parametrize(
    ("prompt", "asked", "wanted"),
    [
        (f"你好，{CHINESE}，谢谢", CHINESE, "shares 8 words in a row with golden row g0"),
        (f"麻烦你，{CHINESE[2:18]}。", CHINESE, "shares 8 words in a row with golden row g0"),
        (f"{CHINESE[:9]}，好吗", CHINESE[:9], "contains golden row g0"),
        (CHINESE[:9], CHINESE, "is part of golden row g0"),
        ("厨房的灯", CHINESE, None),
        ("请把卧室的窗帘拉上然后打开空调", CHINESE, None),
        (f"ねえ、{JAPANESE}", JAPANESE, "shares 8 words in a row with golden row g0"),
        (JAPANESE[:8], JAPANESE, "is part of golden row g0"),
        ("リビングの音楽を止めてください", JAPANESE, None),
        (f"สวัสดี {THAI} ครับ", THAI, "shares 8 words in a row with golden row g0"),
        (THAI[:16], THAI, "is part of golden row g0"),
        ("ช่วยปิดเพลงในห้องนอน", THAI, None),
        (f"सुनो {HINDI}", HINDI, "shares 8 words in a row with golden row g0"),
        ("रसोई की", HINDI, None),
        (f"please translate {CHINESE[2:18]} for me", f"what does {CHINESE} mean", "shares 8 words in a row with golden row g0"),
    ],
)
def test_letters_give_a_golden_row_away_where_there_are_no_spaces(prompt: str, asked: str, wanted: str | None) -> None:
    assert reason(prompt, golden(asked), skip=["near"]) == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CHINESE, CHINESE.replace("二十", "三十")),
        (JAPANESE, JAPANESE.replace("二十", "十八")),
        (THAI, THAI.replace("ยี่สิบ", "สามสิบ")),
        ("주방 불을 켜고 거실 온도를 이십 도로 맞춰 줘", "주방 불을 켜고 거실 온도를 삼십 도로 맞춰 줘"),
        ("打开厨房的灯和客厅的电视", "打开厨房的灯和卧室的电视"),
    ],
)
def test_near_copies_are_found_where_there_are_no_spaces(one: str, other: str) -> None:
    limit = 0.5  # a Latin request of as many words with one changed has about 0.6
    assert set(drop_near(pool([row(0, prompt=one), row(1, prompt=other)]), config(jaccard=limit)).dropped) == {1}
    assert not drop_near(pool([row(0, prompt=one), row(1, prompt=other[::-1])]), config(jaccard=limit)).dropped


def test_a_near_copy_with_the_golden_answer_is_dropped_one_with_another_answer_is_not() -> None:
    asked = golden("set a timer of nine minutes for the tea")
    found = reason("set a timer of nine minutes for my tea", asked, intent="On")
    assert found is not None
    assert found.startswith("same answer as golden row g0, and 0.68")
    assert reason("set a timer of nine minutes for my tea", asked, intent="Off") is None
    assert reason("set a timer of nine minutes for my tea", asked, intent="On", skip=["near"]) is None


def test_a_row_that_means_the_same_is_dropped_whatever_its_answer() -> None:
    near = axis(1) + 0.2 * axis(5)
    vectors = np.array([axis(3), near / np.linalg.norm(near), axis(4)])
    given = pool(
        [row(n, "Off") for n in range(3)], vectors=vectors, golden=golden("tea time", "x y z"), golden_vectors=np.array([axis(0), axis(1)])
    )
    assert drop_contaminated(given, LOOP).dropped == {1: "cosine 0.981 to golden row g1"}


def test_without_vectors_the_count_says_that_only_words_were_compared() -> None:
    outcome = drop_contaminated(pool([row(0), row(1)], golden=golden(LONG)), LOOP)
    assert (outcome.dropped, outcome.counts) == ({}, {"compared by words only": 2})


def test_without_golden_rows_nothing_is_dropped() -> None:
    assert not drop_contaminated(pool([row(0)]), LOOP).dropped
