from pathlib import Path

import pytest

from ftassets.assets._shared.dataset_export import export, export_pairs
from ftassets.assets._shared.dataset_files import pairs_path, pairs_to_parquet
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.domain.chat import conversation
from ftassets.domain.dataset.preference_rules import scrubbed
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.errors import InvalidInput
from ftassets.testing.releases import loop_config
from ftassets_tests.assets._shared.test_dataset_files import FIRST, load, publish, rows


def test_a_commit_opens_with_datasets(store: GitDatasetStore, tmp_path: Path) -> None:
    import datasets

    publish(store, "1", FIRST, [Quarantined("near:r7", "a copy", "prompt 7")])
    wanted = {**FIRST, "train": [*FIRST["train"], *rows(30, 31)], "validation": rows(20)}
    commit, _ = publish(store, "2", wanted)
    publish(store, "3", {"train": rows(99)})
    folder = tmp_path / "out"
    data_files = export(store, commit, "loop", folder)
    assert list(data_files) == ["train", "validation"]  # the library refuses a split without a file or row
    for files in (data_files, {split: str(folder / split / "*.parquet") for split in data_files}):
        opened = load(files, tmp_path)
        assert {split: [Example.model_validate(row) for row in opened[split]] for split in opened} == {
            "train": wanted["train"], "validation": wanted["validation"],
        }  # fmt: skip
        assert str(opened["train"].features["quality"]) == "Value('float64')"
    assert dict(datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache")).num_rows) == {"train": 22, "validation": 1}
    written = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    prefix = "loop/dataset/"
    assert written == {path.removeprefix(prefix): store.read(commit, path) for path in store.list(commit, prefix)}


def test_pairs_are_exported_in_trls_conversational_form(store: GitDatasetStore, tmp_path: Path) -> None:
    from trl.data_utils import is_conversational

    loop = loop_config("loop")
    assert export_pairs(store, "main", loop, tmp_path) is None
    talk = conversation(
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b?"}, {"role": "user", "content": "write to ann@example.com"}]
    )
    made = [
        Pair(
            messages=talk, tools='[{"type": "function", "function": {"name": "f"}}]', chosen="ask ann@example.com", rejected="no",
            source="thumbs", request_id="r", user="u", at=1.0, version="v", weight=5.0,
        )
    ]  # fmt: skip
    store.publish("p", {pairs_path("loop"): pairs_to_parquet(scrubbed(made, loop)[0])}, "pairs", {})
    file = export_pairs(store, "main", loop, tmp_path)
    (row,) = load({"train": str(file)}, tmp_path, "json")["train"]
    assert is_conversational(row)
    assert [message["role"] for message in row["prompt"]] == ["system", "user", "assistant", "user"]
    assert row["prompt"][0]["content"] == loop.task.system_prompt
    assert (row["prompt"][-1]["content"], row["chosen"][0]["content"]) == ("write to <EMAIL>", "ask <EMAIL>")
    assert row["tools"][0]["function"]["name"] == "f"


def test_export_does_not_mix_two_datasets(store: GitDatasetStore, tmp_path: Path) -> None:
    publish(store, "1", FIRST)
    export(store, "main", "loop", tmp_path / "out")
    with pytest.raises(InvalidInput, match="not empty"):
        export(store, "main", "loop", tmp_path / "out")
    (tmp_path / "out" / "preference_pairs.jsonl").write_text("of another loop")
    publish(store, "2", {**FIRST, "train": rows(7)})
    mine = tmp_path / "out" / "train" / "mine.parquet"
    mine.write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"mine\.parquet is not of an earlier export"):
        export(store, "main", "loop", tmp_path / "out", force=True)
    assert mine.exists()
    mine.unlink()
    files = export(store, "main", "loop", tmp_path / "out", force=True)
    assert not (tmp_path / "out" / "preference_pairs.jsonl").exists()
    assert sorted(map(str, (tmp_path / "out").rglob("*/*.parquet"))) == sorted(path for paths in files.values() for path in paths)
