from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.dataset.shards import Plan, Shards, content_hash, plan


def row(id: str, completion: str = "x") -> Example:
    return Example(id=id, messages=question(f"prompt {id}"), completion=completion)


def after(previous: Mapping[str, Shards], made: Plan) -> dict[str, dict[str, list[Example]]]:
    """The shards of each split when the plan is carried out, file by file."""
    files = {path: list(rows) for shards in previous.values() for path, rows in shards.items()}
    for path in made.remove:
        del files[path]
    files |= made.rewrite | made.new
    splits: dict[str, dict[str, list[Example]]] = {}
    for path, rows in files.items():
        splits.setdefault(path.split("/")[0], {})[path] = rows
    return splits


ROWS = st.builds(row, st.sampled_from("abcdefgh"), st.sampled_from("xy"))
SPLITS = ("train", "test")
WANTED = st.fixed_dictionaries({split: st.lists(ROWS, max_size=8) for split in SPLITS})
PREVIOUS = st.fixed_dictionaries(
    {
        split: st.dictionaries(st.sampled_from([f"{split}/{n}.parquet" for n in "123"]), st.lists(ROWS, min_size=1, max_size=5))
        for split in SPLITS
    }
)


@given(previous=PREVIOUS, wanted=WANTED, name=st.sampled_from("349"))
def test_the_shards_hold_exactly_what_is_wanted_and_no_file_is_touched_without_need(
    previous: dict[str, Shards], wanted: dict[str, list[Example]], name: str
) -> None:
    made = plan(previous, wanted, name)
    held = after(previous, made)
    for split in SPLITS:
        assert Counter(r for rows in held.get(split, {}).values() for r in rows) == Counter(wanted[split])
    before = {path: rows for shards in previous.values() for path, rows in shards.items()}
    assert sorted([*made.keep, *made.rewrite, *made.remove]) == sorted(before)
    assert all(before[path] != rows for path, rows in made.rewrite.items())
    assert all(rows for rows in [*made.rewrite.values(), *made.new.values()])
    assert set(made.new) <= {f"{split}/{name}.parquet" for split in SPLITS}
    for split, shards in previous.items():  # a file is rewritten or removed only when a row of it went, or rows of its name came
        held_before = Counter(r for rows in shards.values() for r in rows)
        if not held_before - Counter(wanted[split]) and f"{split}/{name}.parquet" not in shards:
            assert shards.keys() <= set(made.keep)


@given(previous=PREVIOUS, name=st.sampled_from("349"))
def test_planning_what_is_there_touches_nothing(previous: dict[str, Shards], name: str) -> None:
    wanted = {split: [r for rows in reversed(shards.values()) for r in rows] for split, shards in previous.items()}
    made = plan(previous, wanted, name)
    assert (made.rewrite, made.new, made.remove) == ({}, {}, [])


@given(previous=PREVIOUS, more=st.lists(ROWS, min_size=1))
def test_appending_touches_one_new_shard(previous: dict[str, Shards], more: list[Example]) -> None:
    wanted = {split: [r for rows in shards.values() for r in rows] for split, shards in previous.items()}
    wanted["train"] += more
    made = plan(previous, wanted, "9")
    assert (made.rewrite, made.remove, list(made.new)) == ({}, [], ["train/9.parquet"])


def test_a_first_dataset() -> None:
    made = plan({}, {"train": [row("a"), row("b")], "test": []}, "1")
    assert made == Plan(new={"train/1.parquet": [row("a"), row("b")]})


def test_a_row_that_left_rewrites_its_shard_only() -> None:
    previous = {"train": {"train/1.parquet": [row("a"), row("b")], "train/2.parquet": [row("c")]}}
    made = plan(previous, {"train": [row("a"), row("c")]}, "3")
    assert made == Plan(keep=["train/2.parquet"], rewrite={"train/1.parquet": [row("a")]})


def test_a_row_that_changed_stays_in_its_place() -> None:
    previous = {"train": {"train/1.parquet": [row("a"), row("b"), row("c")]}}
    made = plan(previous, {"train": [row("c"), row("b", "new"), row("a")]}, "2")
    assert made == Plan(rewrite={"train/1.parquet": [row("a"), row("b", "new"), row("c")]})


def test_a_row_that_moved_to_another_split_leaves_one_shard_for_a_new_one() -> None:
    previous = {"train": {"train/1.parquet": [row("a"), row("b")]}, "test": {"test/1.parquet": [row("c")]}}
    made = plan(previous, {"train": [row("a")], "test": [row("b"), row("c")]}, "2")
    assert made == Plan(keep=["test/1.parquet"], rewrite={"train/1.parquet": [row("a")]}, new={"test/2.parquet": [row("b")]})


def test_an_empty_shard_goes_and_so_does_a_split_nobody_wants() -> None:
    previous = {"train": {"train/1.parquet": [row("a")], "train/2.parquet": [row("b")]}, "old": {"old/1.parquet": [row("c")]}}
    made = plan(previous, {"train": [row("b")]}, "3")
    assert made == Plan(keep=["train/2.parquet"], remove=["train/1.parquet", "old/1.parquet"])


def test_a_name_used_before_is_not_overwritten() -> None:
    previous = {"train": {"train/1.parquet": [row("a")]}}
    made = plan(previous, {"train": [row("a"), row("b")]}, "1")
    assert made == Plan(rewrite={"train/1.parquet": [row("a"), row("b")]})


@given(rows=st.lists(ROWS, max_size=6), data=st.data())
def test_the_content_hash_is_of_rows_and_splits_in_any_order(rows: list[Example], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert content_hash({"train": rows, "test": []}) == content_hash({"test": [], "train": shuffled})
    one = content_hash({"train": rows})
    assert one != content_hash({"train": [*rows, row("a")]})
    assert one != content_hash({"train": [*rows[1:], row("new")]})
    if rows:
        assert one != content_hash({"train": rows[1:], "test": rows[:1]})


def test_the_content_hash_does_not_change_with_a_field_added_later() -> None:
    # sha256 of ["<sha256 of ["train",{"completion":"x","id":"a","prompt":"prompt a","source":"seed"}]>"], from the command line
    assert content_hash({"train": [row("a")]}) == "827ca7a2984a5f19f7a27aea2895cde45e6f37ad6b60c23f2fb2fd18611f6791"
