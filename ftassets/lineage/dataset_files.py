"""Where a loop's objects lie in the dataset store, and how rows become Parquet and back."""

import io
from collections.abc import Sequence

import numpy as np

from ftassets.domain.curation import SPLITS
from ftassets.domain.rows import Example
from ftassets.resources.dataset_store.base import DatasetStore


def seed_path(loop: str) -> str:
    return f"{loop}/seed.parquet"


def golden_path(loop: str) -> str:
    return f"{loop}/golden.parquet"


def split_path(loop: str, split: str) -> str:
    return f"{loop}/dataset/{split}.parquet"


def quarantine_path(loop: str) -> str:
    return f"{loop}/dataset/quarantine.json"


def reference_path(loop: str, version: str) -> str:
    return f"{loop}/reference/{version}.npz"


def to_parquet(rows: Sequence[Example]) -> bytes:
    """Rows as one Parquet file, columns as the fields of Example; opens with `datasets.load_dataset("parquet", ...)`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [(name, pa.float64() if name == "at" else pa.string()) for name in Example.model_fields]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row.model_dump() for row in rows], schema=pa.schema(fields)), buffer)
    return buffer.getvalue()


def from_parquet(content: bytes) -> list[Example]:
    """The rows of such a file."""
    import pyarrow.parquet as pq

    return [Example.model_validate(row) for row in pq.read_table(io.BytesIO(content)).to_pylist()]


def read_splits(store: DatasetStore, commit: str, loop: str) -> dict[str, list[Example]]:
    """All splits of a loop's dataset at a commit. Raises ObjectNotFound when it has none there."""
    return {split: from_parquet(store.read(commit, split_path(loop, split))) for split in SPLITS}


def pack_arrays(**arrays: np.ndarray) -> bytes:
    """Arrays as one npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack_arrays(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of such a file; pickled objects are refused."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
