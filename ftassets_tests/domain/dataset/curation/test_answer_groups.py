from ftassets.domain.chat import question
from ftassets.domain.dataset.curation.answer_groups import answer_groups
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm, Classification, Text, ToolCall

REFUND = "Your refund is on its way and arrives within five days."
SAYS_THE_SAME = "Your refund is on its way; it arrives within five days!"


def groups(form: AnswerForm, *answers: str) -> list[int]:
    rows = [Example(id=str(n), messages=question("p"), completion=answer) for n, answer in enumerate(answers)]
    found = answer_groups(rows, form, 0.6).tolist()
    return [found.index(each) for each in found]


def test_texts_are_one_answer_when_they_are_near() -> None:
    assert groups(Text(), REFUND, "Ask your bank.", SAYS_THE_SAME, "ask  your BANK.", "no") == [0, 1, 0, 1, 4]


def test_calls_and_labels_are_one_answer_only_when_they_are_equal() -> None:
    assert groups(ToolCall(), '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"a": 1, "b": 3}') == [0, 0, 2]
    assert groups(Classification(), "transfer_money_abroad", "transfer_money_abroad_1", " transfer_money_abroad") == [0, 1, 0]


def test_no_rows_have_no_groups() -> None:
    assert groups(Text()) == []
