"""Days of traffic that left the log, as Parquet files in a folder."""

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from ftassets.domain import formats
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.domain.traffic.retention import DAY
from ftassets.durable import sync_folder, write_durably
from ftassets.errors import FtassetsError, InvalidInput

KIND = "traffic_days"
_SAID = [each.name for each in fields(Feedback) if each.name != "request_id"]
PATTERN = "????-??-??/[0-9]*.parquet"  # below a loop's folder: DAY/NUMBER.parquet
LEFT_OVER = "????-??-??/.*.parquet.*"  # of a write that was killed


@dataclass(frozen=True)
class Moved:
    """An exchange with all feedback on it, in the order in which it came."""

    exchange: Exchange
    feedback: Sequence[Feedback]


class NotCopied(FtassetsError):
    """A day of traffic cannot be copied, so nothing of it is deleted; the message says what to do."""


class DayFiles:
    """One folder for each loop and day (UTC), with files that are numbered in the order in which they were written.

    A file is whole or not there. Only `forget` and people read them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Held by who moves rows from the log to the files, and by who forgets: a row must not slip from one to the other meanwhile.

        Raises NotCopied if the folder cannot be used.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock")
            lock.acquire()
        except OSError as error:
            raise self._not_copied(error) from error
        try:
            yield
        finally:
            lock.release()

    def files(self, loop: str, day: int) -> list[Path]:
        """The files of a day, oldest first."""
        return sorted(self._day(loop, day).glob(PATTERN.partition("/")[2]))

    def add(self, loop: str, day: int, rows: Sequence[Moved]) -> Path | None:
        """Store rows as one more file of their day, on the disk when this returns; None for no row. Raises NotCopied."""
        if not rows:
            return None
        last = self.files(loop, day)[-1:]
        path = self._day(loop, day) / f"{int(last[0].stem) + 1 if last else 0:06}.parquet"
        try:
            write_durably(path, to_parquet(rows))
        except OSError as error:
            raise self._not_copied(error) from error
        return path

    def loops(self) -> list[str]:
        """Names of the loops that have a file, be it what a killed write has left, sorted."""
        return sorted({path.parts[-3] for pattern in (PATTERN, LEFT_OVER) for path in self.folder.glob(f"*/{pattern}")})

    def find(self, loop: str, user: str | None = None, ids: Collection[str] = ()) -> Iterator[Exchange]:
        """Rows of a user (as hashed in the log) and those named, oldest file first. Raises InvalidInput for a file that is damaged."""
        for path in sorted((self.folder / loop).glob(PATTERN)):
            if any(name in ids or (user is not None and of == user) for name, of in _column(path, "id", "user")):
                rows = (row.exchange for row in read(path))
                yield from (row for row in rows if row.id in ids or (user is not None and row.user == user))

    def derived(self, loop: str, names: Collection[str]) -> set[str]:
        """Ids that begin with one of these names and a colon, see `TrafficLog.derived`."""
        begins = tuple(f"{name}:" for name in names)
        return {name for path in sorted((self.folder / loop).glob(PATTERN)) for (name,) in _column(path, "id") if name.startswith(begins)}

    def erase(self, loop: str, ids: Collection[str]) -> int:
        """Write the files that have any of these rows anew without them; returns the number of rows. Doing it again is safe.

        To be called with the folder held. What killed writes have left is removed: it may have any row.
        """
        for path in (self.folder / loop).glob(LEFT_OVER):
            path.unlink()
        erased = 0
        for path in sorted((self.folder / loop).glob(PATTERN)):
            if not any(name in ids for (name,) in _column(path, "id")):
                continue
            rows = list(read(path))
            if kept := [row for row in rows if row.exchange.id not in ids]:
                write_durably(path, to_parquet(kept))
            else:
                path.unlink()
                sync_folder(path.parent)
            erased += len(rows) - len(kept)
        return erased

    def _not_copied(self, error: OSError) -> NotCopied:
        return NotCopied(
            f"traffic cannot be copied to {self.folder} ({error}), so none is deleted: free space, let this user write there, or name "
            "another folder in traffic.export"
        )

    def _day(self, loop: str, day: int) -> Path:
        return self.folder / loop / f"{datetime.fromtimestamp(day * DAY, UTC):%Y-%m-%d}"


def without_stored(rows: Sequence[Moved], files: Iterable[Path]) -> list[Moved]:
    """The rows that none of the files has with as much feedback, in the same order. Raises InvalidInput for a file that is damaged."""
    left = {row.exchange.id: row for row in rows}
    for path in files:
        for name, events in _column(path, "id", "events"):
            if name in left and len(left[name].feedback) <= events:
                del left[name]
    return list(left.values())


def to_parquet(rows: Sequence[Moved]) -> bytes:
    """Rows as one Parquet file: the columns of the log, the number of feedback events, and these as a list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    said = pa.struct([("at", pa.float64()), *((name, pa.string()) for name in _SAID if name != "at")])
    columns = [(column.name, kinds[_plain(column.type)]) for column in fields(Exchange)]
    metadata = {formats.PARQUET_FORMAT: str(formats.KINDS[KIND].version)}
    schema = pa.schema([*columns, ("events", pa.int64()), ("feedback", pa.list_(said))], metadata)
    records = [
        {
            **asdict(row.exchange),
            "events": len(row.feedback),
            "feedback": [{name: getattr(each, name) for name in _SAID} for each in row.feedback],
        }
        for row in rows
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def read(path: Path) -> Iterator[Moved]:
    """The rows of such a file. Raises NewerFormat, and InvalidInput for a file that is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [column.name for column in fields(Exchange)]
    try:
        with pq.ParquetFile(path) as file:
            version = formats.checked(KIND, int((file.schema_arrow.metadata or {}).get(formats.PARQUET_FORMAT.encode(), 1)))
            for batch in file.iter_batches(1000):
                for record in batch.to_pylist():
                    row: Mapping[str, Any] = formats.lift(KIND, version, record)
                    said = [Feedback(row["id"], **{name: each.get(name) for name in _SAID}) for each in row["feedback"]]
                    yield Moved(Exchange(**{name: row[name] for name in names}), said)
    except (pa.ArrowException, KeyError) as error:
        raise _damaged(path, error) from error


def _column(path: Path, *names: str) -> list[tuple[Any, ...]]:
    """Some columns of a file, row by row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=list(names), partitioning=None)
        return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))
    except (pa.ArrowException, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(f"{path} is not a file of moved traffic ({error}): restore it from a copy, or move it away")


def _plain(kind: Any) -> Any:
    """`float` of `float | None`."""
    return next(each for each in getattr(kind, "__args__", (kind,)) if each is not type(None))
