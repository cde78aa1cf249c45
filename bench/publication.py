"""Bytes a dataset repository grows by when rows are appended, as a share of the first version.

The peer is the same store with one Parquet file per split, written again for each version. Rows are made up: requests and
answers of random words, about 230 characters of text each; the share hardly depends on them.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.rows import Row, Size, parse, parser, write
from ftassets.assets._shared.dataset_files import dataset_objects, quarantine_path, quarantine_to_parquet, shard_path, to_parquet
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example, Quarantined

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}
QUARANTINED = 0.01  # per row kept
GOAL = 0.02
SIZES = {"rows": Size(100_000, 100_000, "rows of the first version")}
Splits = dict[str, list[Example]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the row; returns the exit code."""
    made = parser("publication", __doc__)
    made.add_argument("--appended", type=float, default=0.01, metavar="SHARE", help="what the second version adds (default 0.01)")
    return write("publication", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Publish many rows, then a version with a few more, both ways."""
    count, appended = options.rows, options.appended
    dice = random.Random(7)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(3, 9))) for _ in range(5000)]
    examples = [_example(dice, words, n) for n in range(round(count * (1 + appended)))]
    copies = [_example(dice, words, n) for n in range(round(len(examples) * QUARANTINED))]
    dropped = [Quarantined(f"near:{row.id}", "a near duplicate of another row", row.prompt) for row in copies]
    versions = [(_split(examples[:count]), dropped[: round(count * QUARANTINED)]), (_split(examples), dropped)]
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = (_growth(Path(folder) / name, versions, sharded=name == "ours") for name in ("ours", "peer"))
    what = f"growth of the repository by {appended:.0%} more rows on {count:,}, {QUARANTINED:.0%} quarantined"
    yield Row(what, ours, "share of the first version", f"<= {GOAL:g}", ours <= GOAL, peer, "one Parquet file per split")


def _example(dice: random.Random, words: list[str], number: int) -> Example:
    return Example(
        id=f"{dice.getrandbits(64):016x}",
        messages=question(" ".join(dice.choices(words, k=12))),
        completion=json.dumps({"intent": dice.choice(words), "text": " ".join(dice.choices(words, k=20))}),
        source="correction",
        user=f"user-{dice.randrange(2000)}",
        at=1.7e9 + number * 13.7,
    )


def _split(examples: list[Example]) -> Splits:
    """Every row keeps its split when more rows come."""
    splits: Splits = {split: [] for split in SPLITS}
    for row in examples:
        [split] = random.Random(row.id).choices(list(SPLITS), list(SPLITS.values()))
        splits[split].append(row)
    return splits


def _growth(path: Path, versions: list[tuple[Splits, list[Quarantined]]], sharded: bool) -> float:
    """Bytes that the second version adds to the repository, as a share of what the first one takes."""
    store = GitDatasetStore(path)
    sizes = [_size(path, store)]
    for number, (wanted, dropped) in enumerate(versions):
        if sharded:
            files = dataset_objects(store, "loop", wanted, dropped, {}, {}, f"v{number}")
        else:
            files = {shard_path("loop", f"{split}.parquet"): to_parquet(members) for split, members in wanted.items()}
            files = {**files, quarantine_path("loop"): quarantine_to_parquet(dropped)}
        store.publish(f"v{number}", files, "a version", {})
        sizes.append(_size(path, store))
    return (sizes[2] - sizes[1]) / (sizes[1] - sizes[0])


def _size(path: Path, store: GitDatasetStore) -> int:
    store.resolve("main")  # made at first use
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
