"""Where a loop's objects lie in the dataset store, and how rows become Parquet and back."""

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from pydantic import BaseModel, JsonValue, ValidationError

from ftassets.backends.dataset_store.base import DatasetError, DatasetStore, Files, ObjectNotFound
from ftassets.config.loop import LoopConfig
from ftassets.domain import formats
from ftassets.domain.acceptance import Check
from ftassets.domain.canonical import canonical_json, digest_of_bytes
from ftassets.domain.dataset.card import card
from ftassets.domain.dataset.curation import Curated
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.dataset.rows import Example, M, Quarantined, apart, shown
from ftassets.domain.dataset.shards import Index, Shard, content_hash, plan
from ftassets.domain.evaluation.conversations import distinct, linked
from ftassets.domain.evaluation.scored_turns import scored_turns
from ftassets.errors import reason_of

DECODED_ROWS = 100_000  # kept in memory at most, about 100 MB
_BATCH = 10_000  # rows that are Python's dictionaries at a time


class _Decoded:
    """Rows of the Parquet files used last, by the SHA-256 of their bytes, up to a number of rows in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, tuple[Example | Quarantined, ...]] = {}  # in the order of use
        self._lock = Lock()

    def rows(self, content: bytes) -> Iterable[Example | Quarantined]:
        """The rows of a file, and those that a row may not be any more; of one with more rows than are kept, one after the other."""
        import pyarrow.parquet as pq

        if pq.read_metadata(io.BytesIO(content)).num_rows > self._limit:
            return map(_example, table_rows(io.BytesIO(content), "dataset_rows"))
        digest = digest_of_bytes(content)
        with self._lock:
            found = self._known.pop(digest, None)
            if found is None:
                found = tuple(map(_example, table_rows(io.BytesIO(content), "dataset_rows")))
            self._known[digest] = found
            while sum(map(len, self._known.values())) > self._limit:
                del self._known[next(iter(self._known))]
        return found


_DECODED = _Decoded(DECODED_ROWS)


def _example(row: Mapping[str, Any]) -> Example | Quarantined:
    try:
        return Example.model_validate(row)
    except ValidationError as error:
        return Quarantined(f"{row.get('source')}:{row.get('id')}", reason_of(error), shown(str(row.get("completion"))))


def seed_path(loop: str) -> str:
    return f"{loop}/seed.parquet"


def seed_rejected_path(loop: str) -> str:
    """Path of what was no row in the seed file, in its commit."""
    return f"{loop}/seed_rejected.parquet"


def golden_path(loop: str) -> str:
    return f"{loop}/golden.parquet"


def sets_folder(loop: str) -> str:
    return f"{loop}/sets/"


def set_path(loop: str, name: str) -> str:
    """Path of a further evaluation set, in the golden set's commit."""
    return f"{sets_folder(loop)}{name}.parquet"


def synthetic_path(loop: str) -> str:
    return f"{loop}/synthetic.parquet"


def card_path(loop: str) -> str:
    return f"{loop}/dataset/README.md"


def croissant_path(loop: str) -> str:
    return f"{loop}/dataset/croissant.json"


def preferences_folder(loop: str) -> str:
    return f"{loop}/preferences/"


def pairs_path(loop: str) -> str:
    return f"{preferences_folder(loop)}pairs.parquet"


def rated_path(loop: str) -> str:
    return f"{preferences_folder(loop)}rated.parquet"


def labels_folder(loop: str) -> str:
    return f"{loop}/labels/"


def labels_path(loop: str, batch: str) -> str:
    return f"{labels_folder(loop)}{batch}.parquet"


def reference_path(loop: str, version: str) -> str:
    return f"{loop}/reference/{version}.npz"


def index_path(loop: str) -> str:
    return f"{loop}/dataset/index.json"


def shard_path(loop: str, shard: str) -> str:
    """`shard` is a path of the index, `{split}/{name}.parquet`."""
    return f"{loop}/dataset/{shard}"


def refused_folder(loop: str) -> str:
    """What the branches of a loop's refused datasets begin with."""
    return f"refused/{loop}/"


def refused_branch(loop: str, run_id: str) -> str:
    """The branch on which a run leaves a dataset that was refused."""
    return f"{refused_folder(loop)}{run_id}"


def quarantine_path(loop: str) -> str:
    return f"{loop}/dataset/quarantine.parquet"


def to_parquet(rows: Sequence[Example], replaces: bytes | None = None) -> bytes:
    """Rows as one Parquet file, columns as the fields of Example; opens with `datasets.load_dataset("parquet", ...)`.

    Of a file that it `replaces`, rows that this release does not accept are kept as they are: a later one may.
    """
    before = table_rows(io.BytesIO(replaces), "dataset_rows") if replaces else []
    return _models_table(rows, Example, "dataset_rows", [row for row in before if isinstance(_example(row), Quarantined)])


def from_parquet(content: bytes, file: str = "a stored file") -> list[Example]:
    """The rows of such a file; a field that the file is too old to have gets its default. Raises NewerFormat.

    Raises DatasetError for a row that this release does not accept. A process decodes the same bytes once: several assets of a run
    read one dataset. Rows cannot be changed, and each caller gets a list of its own.
    """
    rows, bad = readable(content)
    if bad:
        raise DatasetError(
            f"row {bad[0].where} of {file} cannot be used: {bad[0].reason}. "
            "Change it in the file that the loop names, then materialize the asset of these rows"
        )
    return rows


def readable(content: bytes) -> tuple[list[Example], list[Quarantined]]:
    """The rows of such a file, and those that this release does not accept as rows. Raises NewerFormat."""
    return apart(_DECODED.rows(content))


def row_names(content: bytes, kind: str = "dataset_rows") -> list[dict[str, Any]]:
    """Id, source, request id and user of each row of a file, also of rows that this release does not accept. Reads no text."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(content))  # `read_table` imports pandas
    formats.checked(kind, _format(file.schema_arrow))
    names = [name for name in ("id", "source", "request_id", "user") if name in file.schema_arrow.names]
    return file.read(columns=names).to_pylist()


def without_rows(content: bytes, gone: Sequence[bool]) -> bytes:
    """A file without some of its rows, the others as they are stored."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    kept = pq.read_table(io.BytesIO(content)).filter(pa.array([not each for each in gone], pa.bool_()))
    pq.write_table(kept, buffer, compression="zstd")
    return buffer.getvalue()


def read_golden(store: DatasetStore, ref: str, loop: str) -> list[Example]:
    """The golden rows at a ref, of which none may be missing. Raises DatasetError with the row that this release does not accept."""
    return from_parquet(store.read(ref, golden_path(loop)), golden_path(loop))


def read_sets(store: DatasetStore, ref: str, loop: str, names: Iterable[str]) -> dict[str, list[Example]]:
    """Rows of the further evaluation sets, by name. Raises ObjectNotFound when `ref` is older than a set, DatasetError as `read_golden`."""
    return {name: from_parquet(store.read(ref, set_path(loop, name)), set_path(loop, name)) for name in names}


def scored_golden(store: DatasetStore, ref: str, loop: LoopConfig, pooled: bool = True) -> list[Example]:
    """The golden rows as reports score them: each once, and with `golden_turns: every` a row for each answer of a conversation.

    Rows of one conversation say so; not `pooled` is as reports by a gate rule before `POOLED` have them. Raises DatasetError.
    """
    rows = read_golden(store, ref, loop.name)
    if pooled:
        rows = linked(distinct(rows, loop.task.form))
    return [turn for row in rows for turn in scored_turns(row)] if loop.golden_turns == "every" else rows


def read_evaluation_rows(store: DatasetStore, ref: str, loop: LoopConfig) -> list[Example]:
    """All rows that versions are evaluated on, golden and further sets: training must not use any of them."""
    further = read_sets(store, ref, loop.name, [each.name for each in loop.sets])
    return scored_golden(store, ref, loop) + [row for rows in further.values() for row in rows]


def pairs_to_parquet(pairs: Sequence[Pair]) -> bytes:
    """Pairs as one Parquet file, columns as the fields of Pair."""
    return _models_table(pairs, Pair, "preference_pairs")


def pairs_from_parquet(content: bytes) -> list[Pair]:
    """The pairs of such a file. Raises NewerFormat, DatasetError for a pair that this release does not accept."""
    return _preferences(content, Pair, "preference_pairs")


def rated_to_parquet(rows: Sequence[Rated]) -> bytes:
    """Rated answers as one Parquet file, columns as the fields of Rated."""
    return _models_table(rows, Rated, "rated_answers")


def rated_from_parquet(content: bytes) -> list[Rated]:
    """The rated answers of such a file. Raises NewerFormat, DatasetError for one that this release does not accept."""
    return _preferences(content, Rated, "rated_answers")


def _preferences(content: bytes, model: type[M], kind: str) -> list[M]:
    rows = []
    for row in table_rows(io.BytesIO(content), kind):
        try:
            rows.append(model.model_validate(row))
        except ValidationError as error:
            raise DatasetError(
                f"the preference of request {row.get('request_id')} cannot be used: {reason_of(error)}. "
                "Materialize preference_pairs, which makes all again"
            ) from error
    return rows


def read_labels(store: DatasetStore, ref: str, loop: str) -> list[Example]:
    """The readable rows of all labelling batches at a ref. Raises RefNotFound."""
    return read_written(store, ref, [labels_folder(loop)])[0]


def read_written(store: DatasetStore, ref: str, paths: Iterable[str]) -> tuple[list[Example], list[Quarantined]]:
    """The rows of all files of rows at a ref whose paths begin with one of these, see `readable`. Raises RefNotFound."""
    rows: list[Example] = []
    bad: list[Quarantined] = []
    for path in (path for prefix in paths for path in store.list(ref, prefix)):
        good, rest = readable(store.read(ref, path))
        rows += good
        bad += rest
    return rows, bad


def read_index(store: DatasetStore, ref: str, loop: str) -> Index:
    """What the loop's dataset consists of at `ref`. Raises ObjectNotFound when it has none there."""
    try:
        content = store.read(ref, index_path(loop))
    except ObjectNotFound as error:
        raise ObjectNotFound(f"{loop} has no dataset at {ref}: materialize curated_dataset first, or name another commit") from error
    return Index.parse(content)


def rows_of_splits(store: DatasetStore, ref: str, loop: str) -> Iterator[tuple[str, Example]]:
    """The split and the row of each row of a loop's dataset at `ref` that this release accepts, one after the other.

    Raises ObjectNotFound and DatasetError as `read_splits`.
    """
    commit = store.resolve(ref)
    for split, _, content in shards_of(store, commit, loop, read_index(store, commit, loop)):
        for row in _DECODED.rows(content):
            if isinstance(row, Example):
                yield split, row


def read_splits(store: DatasetStore, ref: str, loop: str, bad: list[Quarantined] | None = None) -> dict[str, list[Example]]:
    """All splits of a loop's dataset at `ref`; rows that this release does not accept are added to `bad`.

    Raises ObjectNotFound when it has none there, DatasetError when a shard is missing or is not the one the index names, and without `bad`
    for such a row.
    """
    commit = store.resolve(ref)
    index = read_index(store, commit, loop)
    splits: dict[str, list[Example]] = {split: [] for split in index.shards}
    for split, shard, content in shards_of(store, commit, loop, index):
        rows, unreadable = readable(content)
        if unreadable and bad is None:
            raise DatasetError(
                f"row {unreadable[0].where} of {shard.path} cannot be used: {unreadable[0].reason}. "
                "The next materialization of curated_dataset leaves it out"
            )
        splits[split] += rows
        (bad if bad is not None else []).extend(unreadable)
    return splits


def names_in_dataset(
    store: DatasetStore, commit: str, loop: str, wanted: Callable[[Mapping[str, Any]], bool], known: dict[str, list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """The wanted ones of the `row_names` of all splits at a commit. Raises what `read_splits` raises, but for a row.

    `known` keeps them by the digest of their file, for the next call with the same `wanted`: datasets share most files.
    """
    for split, shards in read_index(store, commit, loop).shards.items():
        for shard in shards:
            if shard.digest not in known:
                content = _shard(store, commit, loop, shard)
                known[shard.digest] = [{**row, "split": split} for row in row_names(content) if wanted(row)]
            yield from known[shard.digest]


def requests_named(store: DatasetStore, ref: str, loop: str) -> set[str]:
    """Ids of the requests that rows at a ref are of: dataset, quarantine, labelling batches and preference pairs. Reads no text."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    folders = (f"{loop}/dataset/", labels_folder(loop), preferences_folder(loop))
    for path in (each for folder in folders for each in store.list(ref, folder) if each.endswith(".parquet")):
        column = "row" if path == quarantine_path(loop) else "request_id"
        names = pq.read_table(io.BytesIO(store.read(ref, path)), columns=[column]).column(column).to_pylist()
        found |= set(filter(None, names))
    quarantined = [name for name in found if ":" in name]  # SOURCE:ID, whose id may have a colon as well
    return found.union(*(itertools.accumulate(reversed(name.split(":")), lambda end, word: f"{word}:{end}") for name in quarantined))


def dataset_objects(
    store: DatasetStore,
    loop: str,
    wanted: Mapping[str, Sequence[Example]],
    dropped: Sequence[Quarantined],
    balance: Mapping[str, float],
    recipe: Mapping[str, JsonValue],
    shard_name: str,
    since: str = "main",
    checks: Mapping[str, Check] = MappingProxyType({}),
) -> Files:
    """What to publish so that the loop's dataset becomes `wanted`: the shards that change since a commit, the index, the quarantine.

    `dropped` says where as `step:row`. New rows lie in shards called `shard_name`. To be published since the same commit: the index
    must not name shards that another run rewrote meanwhile. `checks` are the verdicts on it;
    without them it is not accepted. Raises DatasetError when the dataset at the commit is damaged.
    """
    commit = store.resolve(since)
    known: dict[str, Shard] = {}
    previous: dict[str, dict[str, _ShardRows]] = {}
    try:
        index = read_index(store, commit, loop)
    except ObjectNotFound:
        index = None
    if index is not None:
        previous = {split: {} for split in index.shards}
        for split, shard, content in shards_of(store, commit, loop, index):
            known[shard.path] = shard
            previous[split][shard.path] = _ShardRows(content)
    made = plan(previous, wanted, shard_name)
    rows_in = {path: rows for shards in previous.values() for path, rows in shards.items()}
    outdated = [path for path in made.keep if rows_in[path].outdated]  # `load_dataset` wants the same columns in all files
    written = {**made.rewrite, **made.new, **{path: list(rows_in[path]) for path in outdated}}
    files: dict[str, bytes | None] = {shard_path(loop, path): None for path in made.remove}
    for path, rows in written.items():
        files[shard_path(loop, path)] = content = to_parquet(rows)
        known[path] = Shard(path=path, rows=len(rows), digest=digest_of_bytes(content))
    files[index_path(loop)] = _index(wanted, [known[path] for path in known if path not in made.remove], balance, recipe, checks)
    files[quarantine_path(loop)] = quarantine_to_parquet(dropped)
    return files


def card_objects(
    store: DatasetStore, loop: LoopConfig, curated: Curated, files: Files, made_from: Mapping[str, str], since: str = "main"
) -> Files:
    """The card of the dataset that `files` make, see `dataset_objects`; to be published with them, since the same commit.

    None if the dataset stays as it is: its card stays too, or the same rows would be a new version. `made_from` are commits by what
    they are, besides the dataset before this one.
    """
    commit, content = store.resolve(since), files[index_path(loop.name)]
    try:
        before = store.last_change(commit, index_path(loop.name))
    except ObjectNotFound:
        parents = dict(made_from)
    else:
        if store.read(before, index_path(loop.name)) == content:
            return {}
        parents = {**made_from, "dataset before this one": before}
    made = card(loop, curated, Index.parse(content), parents)
    croissant = json.dumps(made.croissant, indent=2, ensure_ascii=False) + "\n"
    return {card_path(loop.name): made.readme.encode(), croissant_path(loop.name): croissant.encode()}


def quarantine_to_parquet(dropped: Sequence[Quarantined]) -> bytes:
    """Rows that were not taken as one Parquet file: step, row, reason, content."""
    rows = []
    for item in dropped:
        step, _, row = item.where.partition(":")
        rows.append({"step": step, "row": row, "reason": item.reason, "content": item.content})
    return _table(rows, ["step", "row", "reason", "content"], "quarantine")


def quarantine_from_parquet(content: bytes) -> list[Quarantined]:
    """The rows of such a file. Raises NewerFormat."""
    rows = table_rows(io.BytesIO(content), "quarantine")
    return [Quarantined(f"{row['step']}:{row['row']}", row["reason"], row["content"]) for row in rows]


def read_rejected(store: DatasetStore, ref: str, loop: str) -> list[Quarantined]:
    """The lines of the seed file at a ref that were no rows; none where an earlier release committed it."""
    try:
        return quarantine_from_parquet(store.read(ref, seed_rejected_path(loop)))
    except ObjectNotFound:
        return []


def pack_arrays(**arrays: np.ndarray) -> bytes:
    """Arrays as one npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack_arrays(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of such a file; pickled objects are refused."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


class _ShardRows:
    """The rows of a shard that this release accepts."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.outdated = not _as_written_now(content)  # or has rows that are not accepted, which is known once they were read

    def __iter__(self) -> Iterator[Example]:
        for row in _DECODED.rows(self._content):
            if isinstance(row, Example):
                yield row
            else:
                self.outdated = True


def shards_of(store: DatasetStore, commit: str, loop: str, index: Index) -> Iterator[tuple[str, Shard, bytes]]:
    """Split, shard and bytes of every file the index names. Raises DatasetError when one is missing or another."""
    for split, shards in index.shards.items():
        for shard in shards:
            yield split, shard, _shard(store, commit, loop, shard)


def _shard(store: DatasetStore, commit: str, loop: str, shard: Shard) -> bytes:
    path = shard_path(loop, shard.path)
    try:
        content = store.read(commit, path)
    except ObjectNotFound as error:
        raise DatasetError(f"the dataset at {commit} is damaged: its index names {path}, which is not there") from error
    if digest_of_bytes(content) != shard.digest:
        raise DatasetError(f"the dataset at {commit} is damaged: {path} is not the file its index names (SHA-256 differs)")
    return content


def _index(
    wanted: Mapping[str, Sequence[Example]],
    shards: list[Shard],
    balance: Mapping[str, float],
    recipe: Mapping[str, JsonValue],
    checks: Mapping[str, Check],
) -> bytes:
    by_split: dict[str, list[Shard]] = {split: [] for split in wanted}
    for shard in shards:
        by_split[shard.path.split("/")[0]].append(shard)
    index = Index(shards=by_split, balance=dict(balance), recipe=dict(recipe), content_hash=content_hash(wanted), checks=dict(checks))
    return canonical_json(index.document())  # the same dataset is the same bytes, and publishing it again changes nothing


def table_rows(source: BinaryIO | Path, kind: str) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet file of a kind, as the current format has them, one after the other. Raises NewerFormat, OSError, ValueError."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source)
    version = formats.checked(kind, _format(file.schema_arrow))
    return (formats.lift(kind, version, row) for batch in file.iter_batches(_BATCH) for row in batch.to_pylist())


def _models_table(rows: Sequence[BaseModel], model: type[BaseModel], kind: str, as_they_are: Sequence[dict[str, Any]] = ()) -> bytes:
    numbers = [name for name, field in model.model_fields.items() if field.annotation in (float, float | None)]
    made = itertools.chain((row.model_dump() for row in rows), as_they_are)
    return _table(made, list(model.model_fields), kind, numbers)


def _table(rows: Iterable[dict[str, Any]], columns: list[str], kind: str, numbers: Sequence[str] = ()) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    version = formats.KINDS[kind].version
    metadata = {formats.PARQUET_FORMAT: str(version)} if version > 1 else None
    call = pa.struct([("id", pa.string()), ("name", pa.string()), ("arguments", pa.string())])
    message = pa.struct([("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(call)), ("tool_call_id", pa.string())])
    types = {**dict.fromkeys(numbers, pa.float64()), "messages": pa.list_(message)}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns], metadata)
    given, batches = iter(rows), []
    while part := list(itertools.islice(given, _BATCH)):
        batches.append(pa.RecordBatch.from_pylist(part, schema=schema))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_batches(batches, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def _as_written_now(content: bytes) -> bool:
    """Whether a file of rows has the columns and the format that are written today."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(io.BytesIO(content))
    return schema.names == list(Example.model_fields) and _format(schema) == formats.KINDS["dataset_rows"].version


def _format(schema: Any) -> int:
    """The number of the format in a Parquet file's schema. Raises ValueError."""
    return int((schema.metadata or {}).get(formats.PARQUET_FORMAT.encode(), 1))
