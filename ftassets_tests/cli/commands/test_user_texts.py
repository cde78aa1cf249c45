"""The registry of stores of users' texts: what each finds and takes out. `test_forget` and `e2e/test_forget_everywhere` use all of it."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftassets.backends.artifacts.answers import answers_key, keep_answers
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.cli.commands import forget, user_texts
from ftassets.cli.commands.user_texts import ModelAnswers, Scratch, Store, Subject

WHO = Subject(frozenset({"r1"}), None, frozenset({"row-of-r1"}))


def stored(artifacts: FolderArtifacts, folder: Path, name: str, **columns: list) -> None:
    pq.write_table(pa.table(columns), folder / name)
    keep_answers(artifacts, folder / name)


def test_files_of_answers_go_as_a_whole_and_only_those(tmp_path: Path) -> None:
    artifacts, made = FolderArtifacts(tmp_path / "home"), tmp_path / "made"
    made.mkdir()
    stored(artifacts, made, "mine.parquet", id=["r1", "r2"], answer=["secret", "x"])
    stored(artifacts, made, "row.parquet", id=["row-of-r1"], answer=["secret"])
    stored(artifacts, made, "other.parquet", id=["r2", "r11"], answer=["x", "y"])
    stored(artifacts, made, "mine.likelihoods.parquet", id=["r1"], nll=[0.5])
    for name in ("mine.parquet.partial", "damaged.parquet", "judge-1.jsonl"):
        artifacts.put(answers_key(name), b"half")
    store = ModelAnswers(artifacts)
    assert {place.name for place in store.find(WHO)} == {
        answers_key(name) for name in ("mine.parquet", "row.parquet", "mine.parquet.partial", "damaged.parquet")
    }
    assert store.erase(WHO) == 4
    assert (store.find(WHO), store.erase(WHO)) == ([], 0)
    assert set(artifacts.names("answers")) == {"other.parquet", "mine.likelihoods.parquet", "judge-1.jsonl"}


def test_scratch_folders_of_killed_runs_go_and_those_in_use_are_named(tmp_path: Path) -> None:
    for name in ("killed", "running"):
        (tmp_path / name / "trainer").mkdir(parents=True)
        (tmp_path / name / "trainer" / "rows.jsonl").write_text("secret")
    for path in (tmp_path / "killed").rglob("*"):
        os.utime(path, (0, 0))
    os.utime(tmp_path / "killed", (0, 0))
    store = Scratch(tmp_path)
    assert store.erase(WHO) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["running"]
    [place] = store.find(WHO)
    assert place.why == "a process may work there: forget once more when it has ended"
    assert Scratch(tmp_path / "nothing").find(WHO) == []


@pytest.mark.parametrize("name", [name for name, each in vars(user_texts).items() if isinstance(each, type) and issubclass(each, Store)])
def test_every_store_is_in_the_registry(name: str) -> None:
    """A class that `registry` does not make would never be walked."""
    if name not in ("Store", "History"):
        assert hasattr(forget, name)
        assert f"{name}(" in Path(forget.__file__).read_text()
