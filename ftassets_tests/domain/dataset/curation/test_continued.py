"""Which rows are parts of one conversation."""

from ftassets.domain.dataset.curation.continued import continued, taught_earlier
from ftassets.domain.evaluation.answer_form import Text, ToolCall
from ftassets_tests.domain.dataset.curation.sample import call, talk

OPENING = "where is my parcel"


def test_a_row_whose_messages_begin_another_one_is_linked_to_it_and_rows_that_ask_the_same_to_the_first() -> None:
    first, third = talk(0, OPENING), talk(1, OPENING, "In Leeds. Shall it come?", "yes")
    fifth = talk(2, OPENING, "In Leeds. Shall it come?", "YES", "At nine?", "later")
    other = talk(3, OPENING, "On its way.", "fine")
    assert sorted(continued([third, fifth, other, first, talk(4, "Where is my  parcel")])) == [(0, 1), (3, 0), (3, 1), (3, 2), (3, 4)]
    assert continued([first, talk(5, OPENING)]) == []  # nothing continues them: copies are told by the texts
    assert continued([talk(0, "reset my password"), third]) == []


def test_a_greeting_opens_many_conversations_and_links_only_the_one_that_has_its_answer() -> None:
    rows = [talk(0, "hi", intent="On"), talk(1, "hi", call("On"), "thanks"), talk(2, "hi", call("Off"), "thanks")]
    assert continued(rows) == [(0, 1)]


def test_a_system_message_with_a_clock_does_not_part_a_conversation() -> None:
    rows = [talk(0, OPENING, system="It is 10:01."), talk(1, OPENING, "In Leeds. Shall it come?", "yes", system="It is 10:02.")]
    assert continued(rows) == [(0, 1)]
    greeting = [talk(0, "hi", system="You are kind."), talk(1, "hi", call("Off"), "thanks", system="You are kind.")]
    assert continued(greeting) == []


def test_a_question_and_its_answer_among_earlier_turns_are_found_at_any_place() -> None:
    golden = [talk(8, OPENING), talk(9, OPENING, "In Leeds?", "no", intent="Off")]
    rows = [
        talk(0, "hello you", "hello", OPENING, '{ "intent": "On"}', "thanks"),
        talk(1, OPENING, "In Leeds?", "no", call("Off"), "thanks"),
        talk(2, OPENING, "In Leeds?", "no"),
        talk(3, OPENING),
        talk(4, f"{OPENING.upper()}?", call("On"), "thanks"),
    ]
    assert taught_earlier(rows, golden, ToolCall()) == {0: 0, 1: 1, 4: 0}
    paris = talk(7, "what is the capital of France").model_copy(update={"completion": "Paris"})
    assert taught_earlier([talk(5, "What is the capital of France?", "Paris.", "thanks")], [paris], Text()) == {0: 0}
    assert taught_earlier([talk(5, "What is the capital of France?", "Lyon.", "thanks")], [paris], Text()) == {}
