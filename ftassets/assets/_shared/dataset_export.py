"""A dataset of the store as files in a folder: its Parquet files unchanged, its card, and preference pairs in TRL's form."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ftassets.assets._shared.dataset_files import (
    card_path,
    croissant_path,
    index_path,
    pairs_from_parquet,
    pairs_path,
    quarantine_path,
    read_index,
    shards_of,
)
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.config.loop import LoopConfig
from ftassets.config.outputs import check_new_folder, replacing
from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.preferences import trl_row
from ftassets.errors import InvalidInput

PAIRS = "preference_pairs.jsonl"


def export(
    store: DatasetStore, ref: str, loop: str, folder: Path, force: bool = False, inputs: Sequence[Path] = ()
) -> dict[str, list[str]]:
    """Write the dataset's objects at `ref` below a folder, as they lie in the store; returns the `data_files` for `load_dataset`.

    They are Parquet; a split without rows is not among them. Raises ObjectNotFound when there is no dataset, InvalidInput
    when the folder is not empty or is one of the inputs, DatasetError when the dataset is damaged. `force` writes into a folder that is
    not empty, and removes the files of an earlier export, whose rows would be read with these; other Parquet files there raise
    InvalidInput.
    """
    check_new_folder(folder, force, inputs)
    commit = store.resolve(ref)
    index = read_index(store, commit, loop)
    earlier = _exported(folder)
    found = [file for split in index.shards for file in sorted((folder / split).glob("*.parquet"))]
    if others := [file for file in found if file not in earlier]:
        raise InvalidInput(
            f"{others[0]} is not of an earlier export, and would be read with the dataset: move it away, or name another folder"
        )
    for file in [*found, *earlier.intersection([folder / PAIRS])]:
        file.unlink(missing_ok=True)
    data_files: dict[str, list[str]] = {}
    for path in (index_path(loop), quarantine_path(loop)):  # the index first: it tells the next export what is of this one
        _write(folder / Path(path).name, store.read(commit, path))
    for split, shard, content in shards_of(store, commit, loop, index):
        target = folder / shard.path
        _write(target, content)
        data_files.setdefault(split, []).append(str(target))
    for path in (card_path(loop), croissant_path(loop)):
        with suppress(ObjectNotFound):  # an earlier release wrote none
            _write(folder / Path(path).name, store.read(commit, path))
    return data_files


def _exported(folder: Path) -> set[Path]:
    """The files of rows and pairs that an earlier export wrote into a folder, by the index that it has; empty without a readable one."""
    try:
        shards = json.loads((folder / Path(index_path("")).name).read_bytes())["shards"]
        return {folder / str(shard["path"]) for members in shards.values() for shard in members} | {folder / PAIRS}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return set()


def export_pairs(store: DatasetStore, ref: str, loop: LoopConfig, folder: Path, tokens: ControlTokens | None = None) -> Path | None:
    """Write the preference pairs at `ref` into a folder as JSON lines in TRL's conversational form; None without a pair.

    The control tokens are those of the base model's tokenizer, if they are known.
    """
    try:
        pairs = pairs_from_parquet(store.read(ref, pairs_path(loop.name)))
    except ObjectNotFound:
        return None
    target = folder / PAIRS
    lines = (json.dumps(trl_row(pair, loop.task.system_prompt, tokens), ensure_ascii=False) + "\n" for pair in pairs)
    _write(target, "".join(lines).encode())
    return target if pairs else None


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)
