"""What new labels change among the stored ones."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.chat import question
from ftassets.domain.dataset.labelling.merge import merge
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import ToolCall


def row(request: str, answer: str = "{}", user: str | None = "ann", at: float | None = None) -> Example:
    return Example(
        id=f"label:{request}", messages=question(request), completion=answer, source="label", user=user, request_id=request, at=at
    )


def after(stored: Mapping[str, list[Example]], merged: Mapping[str, list[Example]]) -> list[Example]:
    return [each for rows in {**stored, **merged}.values() for each in rows]


def test_a_row_is_added_to_its_batch_and_replaced_where_it_is() -> None:
    stored = {"old": [row("a"), row("b")], "other": [row("c")]}
    merged = merge(stored, {"new": [row("d"), row("b", '{"x": 1}'), row("a")]}, ToolCall())
    assert merged.batches == {"new": [row("d")], "old": [row("a"), row("b", '{"x": 1}')]}
    assert (merged.added, merged.replaced, merged.unchanged, merged.refused) == (1, 1, 1, [])
    assert stored == {"old": [row("a"), row("b")], "other": [row("c")]}


def test_an_older_answer_does_not_replace_a_newer_one() -> None:
    newer, older = row("a", '{"x": 1}', at=9.0), row("a", '{"x": 2}', at=8.0)
    merged = merge({"b": [newer]}, {"b": [older]}, ToolCall())
    assert (merged.batches, merged.replaced, [each.reason for each in merged.refused]) == (
        {"b": [newer]}, 0, ["the stored answer of this annotator is newer"],
    )  # fmt: skip
    assert merge({"b": [older]}, {"b": [newer]}, ToolCall()).replaced == 1


def test_an_answer_without_a_time_is_older_than_one_with_a_time() -> None:
    first, revised = row("a", '{"x": 1}'), row("a", '{"x": 2}', at=9.0)
    stored = merge({"b": [first]}, {"b": [revised]}, ToolCall()).batches
    assert stored == {"b": [revised]}
    again = merge(stored, {"b": [first]}, ToolCall())
    assert (again.batches, again.replaced) == (stored, 0)
    assert [each.reason for each in again.refused] == ["the stored answer of this annotator has a time, and this one has none"]
    same = merge(stored, {"b": [row("a", '{"x": 2}'), row("a", '{"x": 2.0}', at=8.0)]}, ToolCall())
    assert (same.batches, same.unchanged) == (stored, 2)


def test_another_annotator_confirms_or_is_refused() -> None:
    stored = {"b": [row("a", '{"x": 1, "y": 2}')]}
    bob = row("a", '{"y": 2, "x": 1}', "bob")
    both = merge(stored, {"c": [bob]}, ToolCall())
    assert (both.batches, both.added, both.agree, both.disagree) == ({**stored, "c": [bob]}, 1, {"a"}, set())
    again = merge(both.batches, {"c": [bob]}, ToolCall())
    assert (again.batches, again.added, again.unchanged, again.agree) == (both.batches, 0, 1, {"a"})
    merged = merge(stored, {"b": [row("a", '{"x": 2}', "bob")]}, ToolCall())
    assert (merged.batches, merged.agree, merged.disagree) == (stored, set(), {"a"})
    assert "another annotator gave this request another answer" in merged.refused[0].reason


def test_who_revises_what_another_annotator_confirmed_takes_back_the_answer_only() -> None:
    stored = {"b": [row("a", at=1.0), row("a", user="bob")]}
    merged = merge(stored, {"b": [row("a", '{"x": 1}', at=2.0)]}, ToolCall())
    assert (merged.batches, len(merged.refused)) == ({"b": [row("a", user="bob")]}, 1)


def test_those_who_were_asked_again_replace_all_who_said_something_else() -> None:
    stored = {"first": [row("a"), row("a", user="bob"), row("b")]}
    asked = {"second": [row("a", '{"x": 1}', "eve"), row("a", '{"x": 1}', "joe")]}
    merged = merge(stored, asked, ToolCall(), {"second"})
    assert merged.batches == {"first": [asked["second"][0], row("b")], "second": asked["second"][1:]}
    assert (merged.replaced, merged.added) == (1, 1)
    again = merge(merged.batches, asked, ToolCall(), {"second"})
    assert (again.batches, again.unchanged) == (merged.batches, 2)


def test_people_who_were_asked_again_decide() -> None:
    stored = {"first": [row("a", '{"x": 1}')]}
    again = row("a", '{"x": 2}', "bob")
    assert merge(stored, {"second": [again]}, ToolCall()).refused, "a file that somebody wrote by hand"
    assert merge(stored, {"first": [again]}, ToolCall(), {"first"}).refused, "the same batch"
    merged = merge(stored, {"second": [again]}, ToolCall(), {"second"})
    assert (merged.batches, merged.replaced) == ({"first": [again]}, 1)
    assert merge(merged.batches, {"second": [again]}, ToolCall(), {"second"}).unchanged == 1
    assert merge(merged.batches, {"first": stored["first"]}, ToolCall(), {"first"}).refused, "last week's file again"
    newest = {"first": [row("a", '{"x": 3}', at=9.0)]}
    assert merge(newest, {"second": [row("a", '{"x": 2}', "bob", at=8.0)]}, ToolCall(), {"second"}).refused, "the batch before"


ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from("abcd"),
        st.sampled_from(["{}", '{"x": 1}']),
        st.sampled_from(["ann", "bob", None]),
        st.sampled_from([None, 1.0, 2.0]),
    ),
    max_size=8,
    unique_by=lambda each: (each.request_id, each.user),
)


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), ROWS), max_size=6))
def test_no_request_loses_its_label_and_those_of_a_request_agree(imports: list[tuple[str, list[Example]]]) -> None:
    stored: dict[str, list[Example]] = {}
    for batch, rows in imports:
        before = {each.request_id for each in after(stored, {})}
        merged = merge(stored, {batch: rows}, ToolCall())
        assert merged.added + merged.replaced + merged.unchanged + len(merged.refused) == len(rows)
        stored = {**stored, **merged.batches}
        held = after(stored, {})
        assert len({(each.request_id, each.user) for each in held}) == len(held)
        assert {each.request_id for each in held} == before | {each.request_id for each in rows}
        assert len({(each.request_id, each.completion) for each in held}) == len({each.request_id for each in held})
