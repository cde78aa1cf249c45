"""Tables of a real server are copied and come back in another database, and nothing is written over."""

import shutil
from pathlib import Path

import pytest

from ftassets.backends.control import postgres as of_control
from ftassets.backends.control.postgres import PostgresControl
from ftassets.backends.postgres.base import DumpFailed
from ftassets.backends.traffic_log import postgres as of_traffic
from ftassets.backends.traffic_log.base import Feedback
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.errors import InvalidInput, PackageMissing
from ftassets.testing.contracts.traffic_log import exchange
from ftassets.testing.postgres_server import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.account()


def test_rows_come_back_with_the_numbers_they_had(url: str, tmp_path: Path) -> None:
    log, control = PostgresTrafficLog(url), PostgresControl(url)
    log.append([exchange(n) for n in range(5)])
    log.add_feedback(Feedback("voice-3", 9.0, "down", "no"))
    log.forget(request_ids=["voice-1"])
    control.write("pauses/support", b"\x00\xff")
    assert control.append("gateway/journal.jsonl", b"1") == 1
    rows, kept = log.exchanges("voice"), [of_traffic.tables(url), of_control.tables(url)]
    for tables in kept:
        assert tables.dump(tmp_path / tables.name)
        with pytest.raises(InvalidInput, match="has rows, and nothing is written over"):
            tables.load(tmp_path / tables.name)
        tables.drop()
        assert not tables.dump(tmp_path / "none"), "there is nothing to copy"
        tables.check_empty()
        tables.load(tmp_path / tables.name)
    again = PostgresTrafficLog(url)
    assert (again.exchanges("voice"), again.forgotten()) == (rows, {"voice-1"})
    assert again.feedback_on(["voice-3"])["voice-3"].correction == "no"
    assert again.append([exchange(1), exchange(7)]) == 1, "what was forgotten stays out"
    assert PostgresControl(url).read("pauses/support") == b"\x00\xff"
    assert PostgresControl(url).append("gateway/journal.jsonl", b"2") == 2


def test_tables_without_rows_make_room(url: str, tmp_path: Path) -> None:
    PostgresTrafficLog(url).append([exchange(1)])
    tables = of_traffic.tables(url)
    tables.dump(tmp_path / "dump")
    tables.drop()
    assert PostgresTrafficLog(url).count("voice") == 0
    tables.load(tmp_path / "dump")
    assert PostgresTrafficLog(url).count("voice") == 1


def test_a_copy_of_which_a_part_is_missing_makes_no_table(url: str, tmp_path: Path) -> None:
    PostgresTrafficLog(url).append([exchange(n, prompt="secret" * 500) for n in range(300)])
    tables = of_traffic.tables(url)
    tables.dump(tmp_path / "dump")
    (tmp_path / "dump").write_bytes((tmp_path / "dump").read_bytes()[:-100_000])
    tables.drop()
    with pytest.raises(DumpFailed, match="pg_restore failed on 127.0.0.1:") as failed:
        tables.load(tmp_path / "dump")
    assert "secret" not in str(failed.value)
    assert not tables.dump(tmp_path / "none")


def test_a_missing_program_says_what_to_install(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PostgresTrafficLog(url).append([exchange(1)])
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PackageMissing, match="pg_dump is not installed.*apt-get install postgresql-client"):
        of_traffic.tables(url).dump(tmp_path / "dump")
