"""Rows of a log from elsewhere become traffic, once."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands import import_traffic
from ftassets.errors import InvalidInput
from ftassets.testing.releases import loop_config

VOICE = loop_config("voice")


@pytest.fixture
def log(tmp_path: Path) -> SqliteTrafficLog:
    return SqliteTrafficLog(tmp_path / "traffic.db")


def chat(number: int, **fields: Any) -> str:
    messages = [{"role": "user", "content": f"request {number}"}, {"role": "assistant", "content": "{}"}]
    return json.dumps({"id": number, "messages": messages, "user": "ann", **fields})


def test_a_log_is_imported_once(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([*(chat(n, at=n) for n in range(2500)), "{", chat(1, at=1), chat(9999)]))
    first = import_traffic.import_traffic(log, VOICE, path, "chat", "old")
    assert (first.read, first.stored, first.already, [bad.where for bad in first.quarantined]) == (2502, 2501, 1, ["line 2501"])
    assert (log.count("voice"), {e.version for e in log.exchanges("voice")}) == (2501, {"old"})
    assert {e.well_formed for e in log.exchanges("voice")} == {VOICE.task.form.well_formed(log.exchanges("voice", limit=1)[0].answer)}
    assert log.exchanges("voice")[-1].at == path.stat().st_mtime  # it said none
    again = import_traffic.import_traffic(log, VOICE, path, "chat", "old")
    assert (again.stored, again.already, log.count("voice")) == (0, 2502, 2501)


def test_an_import_brings_nothing_back_that_was_forgotten(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(chat(1, at=1) + "\n" + chat(2, at=2))
    import_traffic.import_traffic(log, VOICE, path, "chat")
    log.forget(request_ids=["chat:1"])
    assert import_traffic.import_traffic(log, VOICE, path, "chat").already == 2
    assert [e.id for e in log.exchanges("voice")] == ["chat:2"]


def test_a_file_without_a_row_is_an_error_that_names_the_format_that_fits(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.json.gz"
    path.write_bytes(gzip.compress(json.dumps([json.loads(chat(1, at=1))]).encode()))
    with pytest.raises(
        InvalidInput,
        match=r"no row in the format otel, it has rows in another format: --format chat\. Refused records: 1, the first at line 1:",
    ):
        import_traffic.import_traffic(log, VOICE, path, "otel")
    assert import_traffic.import_traffic(log, VOICE, path, "chat").stored == 1
    path.write_text('{"text": "a"}')
    with pytest.raises(InvalidInput, match="no other format fits"):
        import_traffic.import_traffic(log, VOICE, path, "chat")
    path.write_text("[]")
    with pytest.raises(InvalidInput, match="has no record"):
        import_traffic.import_traffic(log, VOICE, path, "chat")
