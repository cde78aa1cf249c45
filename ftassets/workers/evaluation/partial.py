"""Partial answers of an incomplete output file, stored next to it so that a killed process loses no finished batch."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ftassets.durable import write_durably


class PartialAnswers:
    """JSON lines, one per answer, after a first line that identifies the job.

    A line cut off by a kill is invalid JSON and is skipped. Each write is flushed to the operating system, so it survives the process,
    not a power cut.
    """

    def __init__(self, output: Path, of: str) -> None:
        """Take up what an earlier process left for `output`; answers to anything but `of`, a digest, are thrown away."""
        self._path = _beside(output)
        self.rows: dict[int, dict[str, Any]] = self._read(of)  # by the prompt's place in its file

    def add(self, rows: Mapping[int, dict[str, Any]]) -> None:
        """Keep finished answers; one that is there already stays as it is."""
        fresh = {place: row for place, row in rows.items() if place not in self.rows}
        if not fresh:
            return
        self.rows |= fresh
        # begins with a new line too: the last one may be torn
        lines = "\n" + "".join(json.dumps({"place": place, **row}) + "\n" for place, row in fresh.items())
        with suppress(FileNotFoundError), open(self._path, "wb", buffering=0, opener=_append) as file:  # gone: another run has finished
            file.write(lines.encode())

    def _read(self, of: str) -> dict[int, dict[str, Any]]:
        first, *lines = self._path.read_bytes().split(b"\n") if self._path.exists() else [b""]
        if first != of.encode():
            write_durably(self._path, f"{of}\n")
            return {}
        rows = {}
        for line in lines:
            with suppress(ValueError):
                row = json.loads(line)
                rows[int(row.pop("place"))] = row
        return rows


def discard(output: Path) -> None:
    """To be called when a file of answers is complete."""
    _beside(output).unlink(missing_ok=True)


def _beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


def _append(path: str, flags: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND)
