import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftassets.assets._shared import dataset_files
from ftassets.assets._shared.dataset_export import export
from ftassets.assets._shared.dataset_files import (
    dataset_objects,
    from_parquet,
    index_path,
    labels_folder,
    labels_path,
    pairs_from_parquet,
    pairs_to_parquet,
    quarantine_path,
    read_index,
    read_splits,
    read_written,
    readable,
    rows_of_splits,
    shard_path,
    to_parquet,
)
from ftassets.backends.dataset_store.base import DatasetError, MergeConflict, ObjectNotFound
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.domain.chat import question
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.dataset.shards import content_hash

Splits = dict[str, list[Example]]
ALWAYS = {index_path("loop"), quarantine_path("loop")}


def rows(*numbers: int, completion: str = "{}") -> list[Example]:
    return [
        Example(id=f"r{n}", messages=question(f"prompt {n} \u00e9\u2028"), completion=completion, at=n / 3, quality=0.5 if n % 2 else None)
        for n in numbers
    ]


FIRST: Splits = {"train": rows(*range(20)), "validation": rows(20, 21), "test": []}


def publish(store: GitDatasetStore, run: str, wanted: Splits, dropped: Sequence[Quarantined] = (), **index: Any) -> tuple[str, set[str]]:
    """Commit, and the paths that differ from the commit before."""
    before = store.resolve("main")
    files = dataset_objects(store, "loop", wanted, dropped, index.get("balance", {}), index.get("recipe", {}), run)
    commit = store.publish(run, files, "m", {}).commit
    return commit, {change.path for change in store.diff(before, commit)}


def load(data_files: Any, tmp_path: Path, form: str = "parquet") -> Any:
    import datasets

    return datasets.load_dataset(form, data_files=data_files, cache_dir=str(tmp_path / "cache"))


def test_a_dataset_comes_back_as_it_was(store: GitDatasetStore) -> None:
    dropped = [Quarantined("near:r7", "a copy of r1", "prompt 7"), Quarantined("schema:seed.jsonl:3", "not JSON", "{")]
    commit, _ = publish(store, "1", FIRST, dropped, balance={"timer": 0.5}, recipe={"near": {"jaccard": 0.6}, "skip": ["pii"]})
    assert read_splits(store, commit, "loop") == FIRST
    index = read_index(store, commit, "loop")
    assert (index.balance, index.recipe) == ({"timer": 0.5}, {"near": {"jaccard": 0.6}, "skip": ["pii"]})
    assert index.content_hash == content_hash(FIRST)
    assert [(shard.path, shard.rows) for shards in index.shards.values() for shard in shards] == [
        ("train/1.parquet", 20), ("validation/1.parquet", 2),
    ]  # fmt: skip
    quarantine = pq.read_table(io.BytesIO(store.read(commit, quarantine_path("loop")))).to_pylist()
    assert [Quarantined(f"{row['step']}:{row['row']}", row["reason"], row["content"]) for row in quarantine] == dropped
    assert [row["step"] for row in quarantine] == ["near", "schema"]


def test_the_same_dataset_again_is_no_new_version(store: GitDatasetStore) -> None:
    commit, _ = publish(store, "1", FIRST, balance={"a": 1.0, "b": 0.5})
    again = {split: list(reversed(members)) for split, members in reversed(FIRST.items())}
    assert publish(store, "2", again, balance={"b": 0.5, "a": 1.0}) == (commit, set())


def test_appended_rows_touch_one_new_shard_and_the_index(store: GitDatasetStore) -> None:
    first, _ = publish(store, "1", FIRST)
    wanted = {**FIRST, "train": [*FIRST["train"], *rows(30, 31)]}
    second, touched = publish(store, "2", wanted)
    assert touched == {index_path("loop"), shard_path("loop", "train/2.parquet")}
    assert read_splits(store, second, "loop") == wanted
    assert read_splits(store, first, "loop") == FIRST
    old, new = (read_index(store, commit, "loop") for commit in (first, second))
    assert new.shards["train"][0] == old.shards["train"][0]
    assert new.content_hash != old.content_hash


def test_forgotten_changed_and_moved_rows_rewrite_their_shards_only(store: GitDatasetStore) -> None:
    publish(store, "1", FIRST)
    publish(store, "2", {**FIRST, "train": [*FIRST["train"], *rows(30)]})
    wanted = {"train": [*rows(*range(2, 20)), *rows(30)], "validation": rows(20, 21, completion="[]"), "test": rows(1)}
    commit, touched = publish(store, "3", wanted)
    shards = {shard_path("loop", path) for path in ("train/1.parquet", "validation/1.parquet", "test/3.parquet")}
    assert touched == {index_path("loop")} | shards
    assert read_splits(store, commit, "loop") == wanted


def test_a_shard_without_rows_is_removed(store: GitDatasetStore) -> None:
    publish(store, "1", FIRST)
    publish(store, "2", {**FIRST, "train": [*FIRST["train"], *rows(30)]})
    commit, touched = publish(store, "3", {**FIRST, "train": rows(30), "validation": []})
    assert touched == {index_path("loop")} | {shard_path("loop", path) for path in ("train/1.parquet", "validation/1.parquet")}
    assert store.list(commit, "loop/dataset/") == sorted([*ALWAYS, shard_path("loop", "train/2.parquet")])
    assert read_splits(store, commit, "loop") == {"train": rows(30), "validation": [], "test": []}


def test_a_dataset_made_from_an_older_one_conflicts_with_the_one_that_landed(store: GitDatasetStore) -> None:
    looked, _ = publish(store, "1", FIRST)
    late = dataset_objects(store, "loop", {**FIRST, "train": rows(*range(20), 40)}, [], {}, {}, "2", looked)
    publish(store, "3", {**FIRST, "train": rows(*range(10))})  # rewrites a shard that the late one keeps
    with pytest.raises(MergeConflict, match=r"loop/dataset/index\.json"):
        store.publish("2", late, "m", {}, since=looked)
    assert read_splits(store, "main", "loop")["train"] == rows(*range(10))


def test_loops_do_not_touch_each_other(store: GitDatasetStore) -> None:
    publish(store, "1", FIRST)
    store.publish("2", dataset_objects(store, "other", {"train": rows(1)}, [], {}, {}, "2"), "m", {})
    assert read_splits(store, "main", "loop") == FIRST
    assert read_splits(store, "main", "other") == {"train": rows(1)}


def test_no_dataset_is_not_found(store: GitDatasetStore) -> None:
    for read in (read_splits, read_index):
        with pytest.raises(ObjectNotFound, match="loop has no dataset at"):
            read(store, "main", "loop")


@pytest.mark.parametrize(("content", "reason"), [(None, "not there"), (to_parquet(rows(1)), "SHA-256")])
def test_a_damaged_dataset_is_refused(store: GitDatasetStore, tmp_path: Path, content: bytes | None, reason: str) -> None:
    publish(store, "1", FIRST)
    store.publish("2", {shard_path("loop", "train/1.parquet"): content}, "m", {})
    with pytest.raises(DatasetError, match=reason) as error:
        read_splits(store, "main", "loop")
    assert not isinstance(error.value, ObjectNotFound)  # which means: there is no dataset yet
    with pytest.raises(DatasetError, match=reason):
        export(store, "main", "loop", tmp_path / "out")
    with pytest.raises(DatasetError, match=reason):
        dataset_objects(store, "loop", FIRST, [], {}, {}, "3")


def old_parquet(members: Sequence[Example], missing: set[str]) -> bytes:
    """A file as it was written before the fields existed."""
    buffer = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(to_parquet(members))).drop_columns(list(missing)), buffer)
    return buffer.getvalue()


def test_files_from_before_a_field_was_added_have_its_default() -> None:
    assert from_parquet(old_parquet(rows(2, 4), {"quality", "at", "source"})) == [row.model_copy(update={"at": None}) for row in rows(2, 4)]


def test_the_next_version_gives_old_shards_the_columns_of_today(
    store: GitDatasetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = rows(2, 4)
    with monkeypatch.context() as patch:
        patch.setattr(dataset_files, "to_parquet", lambda members: old_parquet(members, {"quality"}))
        publish(store, "1", {"train": members})
    assert read_splits(store, "main", "loop") == {"train": members}
    _, touched = publish(store, "2", {"train": [*members, *rows(6)]})
    assert touched == {index_path("loop"), shard_path("loop", "train/1.parquet"), shard_path("loop", "train/2.parquet")}
    assert load(export(store, "main", "loop", tmp_path / "out"), tmp_path)["train"]["id"] == ["r2", "r4", "r6"]


def test_pairs_come_back_and_open_with_datasets(tmp_path: Path) -> None:
    pairs = [
        Pair(
            messages=question(f"p{n}"),
            chosen="{}",
            rejected="[]",
            source="thumbs",
            request_id=f"r{n}",
            user="u",
            at=n / 3,
            version="v",
            weight=5.0,
        )
        for n in range(3)
    ]
    content = pairs_to_parquet(pairs)
    assert pairs_from_parquet(content) == pairs
    (tmp_path / "pairs.parquet").write_bytes(content)
    opened = load({"train": str(tmp_path / "pairs.parquet")}, tmp_path)["train"]
    assert opened[:]["chosen"] == ["{}"] * 3
    assert str(opened.features["weight"]) == "Value('float64')"


@pytest.mark.parametrize("members", [[], rows(1)])
def test_a_column_keeps_its_type_when_nothing_is_in_it(members: list[Example]) -> None:
    schema = pq.read_schema(io.BytesIO(to_parquet(members)))
    assert {name for name in schema.names if schema.field(name).type == pa.float64()} == {"at", "quality"}
    assert pa.types.is_list(schema.field("messages").type)
    assert all(schema.field(name).type in (pa.float64(), pa.string()) for name in schema.names if name != "messages")


def test_the_same_bytes_are_decoded_once_into_lists_of_their_own() -> None:
    content = to_parquet(rows(*range(50)))
    first, second = from_parquet(content), from_parquet(bytes(bytearray(content)))
    assert first == second == rows(*range(50))
    assert all(one is other for one, other in zip(first, second, strict=True))
    first.clear()
    assert from_parquet(content) == second


def test_a_dataset_read_again_decodes_only_what_is_new(store: GitDatasetStore) -> None:
    before = read_splits(store, publish(store, "1", FIRST)[0], "loop")
    after = read_splits(store, publish(store, "2", FIRST | {"train": [*FIRST["train"], *rows(40, 41)]})[0], "loop")
    kept = {id(row) for row in before["train"]}
    assert [row.id for row in after["train"] if id(row) not in kept] == ["r40", "r41"]


def test_what_was_decoded_is_forgotten_from_the_oldest_on() -> None:
    files = [to_parquet(rows(*range(start, start + 4))) for start in (100, 200, 300)]
    decoded = dataset_files._Decoded(limit=8)
    one, two = map(decoded.rows, files[:2])
    assert decoded.rows(files[0]) is one  # now the second one is the oldest
    decoded.rows(files[2])
    assert decoded.rows(files[0]) is one
    assert decoded.rows(files[1]) is not two
    streamed = dataset_files._Decoded(limit=3).rows(files[0])  # too large to be kept
    assert isinstance(streamed, Iterator)
    assert tuple(streamed) == one


def test_a_stored_row_that_is_none_by_todays_rules_takes_no_other_with_it(store: GitDatasetStore) -> None:
    good = rows(0, 1, 2)
    deep = good[1].model_copy(update={"tools": "[" * 200 + "]" * 200})  # as an earlier release stored it
    content = to_parquet([good[0], deep, good[2]])
    assert readable(content)[0] == [good[0], good[2]]
    [bad] = readable(content)[1]
    assert (bad.where, "nested more than 100 levels" in bad.reason) == (f"{deep.source}:{deep.id}", True)
    with pytest.raises(DatasetError, match=deep.id):
        from_parquet(content)
    files = {labels_path("loop", "b1"): content, labels_path("loop", "b2"): to_parquet(rows(5, 6))}
    store.publish("run", files, "labels", {})
    found, rest = read_written(store, "main", [labels_folder("loop")])
    assert ([row.id for row in found], len(rest)) == ([row.id for row in [good[0], good[2], *rows(5, 6)]], 1)


def test_the_next_dataset_leaves_such_a_row_out_of_its_files(store: GitDatasetStore) -> None:
    good = rows(0, 1, 2)
    deep = good[1].model_copy(update={"tools": "[" * 200 + "]" * 200})
    publish(store, "old", {"train": [good[0], deep, good[2]]})
    assert list(rows_of_splits(store, "main", "loop")) == [("train", good[0]), ("train", good[2])]
    publish(store, "new", {"train": [good[0], good[2]]})
    assert read_splits(store, "main", "loop") == {"train": [good[0], good[2]]}
