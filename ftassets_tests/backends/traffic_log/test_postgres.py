"""What only the log on a server must do: outlive it, wait for others, and keep its password to itself."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import InterfaceError
from pg8000.native import Connection

from ftassets.backends.postgres import pool as postgres_server
from ftassets.backends.postgres.pool import Link, Server, server
from ftassets.backends.traffic_log import postgres as module
from ftassets.backends.traffic_log.base import (
    Exchange,
    Feedback,
    FeedbackCounts,
    LogUnreachable,
    LogUnusable,
    StillReadable,
    UnknownAnswer,
)
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.profiles import TRAFFIC_URL, traffic_log
from ftassets.testing.contracts.traffic_log import exchange
from ftassets.testing.postgres_server import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.account()


@pytest.fixture
def log(url: str) -> PostgresTrafficLog:
    return PostgresTrafficLog(url)


@pytest.fixture
def other(url: str, postgres: PostgresServer) -> Iterator[Connection]:
    """Somebody else in the same schema, who may do everything."""
    with postgres.administrator() as connection:
        connection.run(f"SET search_path TO {user(url)}")
        yield connection


def user(url: str) -> str:
    return urlsplit(url).username or ""


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x00\x0101")))
def test_any_text_fits_into_postgresql_and_comes_back(text: str) -> None:
    escaped = module._escaped(text)
    assert "\x00" not in escaped
    assert module._unescaped(escaped) == text


def test_ordinary_text_is_readable_for_whoever_looks_into_the_table(log: PostgresTrafficLog, other: Connection) -> None:
    log.append([exchange(1, prompt="h\u00e9 \U0001f4a1", answer='{"a": "\\u0000"}')])
    assert other.run("SELECT prompt, answer FROM traffic_exchange") == [["h\u00e9 \U0001f4a1", '{"a": "\\u0000"}']]


def test_windows_wider_than_a_page_are_whole_and_ordered(log: PostgresTrafficLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    rows = [exchange(n, at=float(at)) for n, at in enumerate([5, 1, 1, 1, 1, 1, 1, 2, 2, 4])]
    log.append(rows)
    in_order = sorted(rows, key=lambda row: row.at)  # of one moment, as they were stored
    assert log.exchanges("voice") == in_order
    assert log.exchanges("voice", since=1, until=4) == in_order[:8]
    assert [log.exchanges("voice", limit=n) for n in (0, 2, 3, 7)] == [in_order[:n] for n in (0, 2, 3, 7)]
    for row in rows[:8]:
        log.add_feedback(Feedback(row.id, 9.0, "up", None))
    assert [r.exchange for r in log.reviewed("voice")] == [row for row in in_order if row in rows[:8]]


def test_reads_and_writes_go_on_after_the_server_was_restarted(log: PostgresTrafficLog, postgres: PostgresServer) -> None:
    barrier = threading.Barrier(3)

    def at_once() -> None:
        log._server.do(lambda link: barrier.wait(10))

    threads = [threading.Thread(target=at_once) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log._server._idle) == 3  # all of them will be broken
    log.append([exchange(1)])
    postgres.stop()
    postgres.start()
    assert log.append([exchange(2)]) == 1
    postgres.stop()
    with pytest.raises(LogUnreachable, match="see that it runs"):
        log.append([exchange(3)])
    postgres.start()
    log.add_feedback(Feedback("voice-2", 1.0, "up", None))
    assert (log.count("voice"), len(log.reviewed("voice"))) == (2, 1)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_acknowledged_rows_outlive_kill_9_of_the_server_under_load(log: PostgresTrafficLog, postgres: PostgresServer) -> None:
    acknowledged: list[Exchange] = []
    stop, refused = threading.Event(), threading.Event()

    def write(name: int) -> None:
        number = 0
        while not stop.is_set():
            row = exchange(number, id=f"{name}-{number}")
            try:
                log.append([row])
            except LogUnreachable:
                refused.set()
                time.sleep(0.01)  # and again with the same id, as an import would
            else:
                acknowledged.append(row)
                number += 1

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 50)
    postgres.kill()
    before = len(acknowledged)
    assert refused.wait(10)
    postgres.start()
    wait_until(lambda: len(acknowledged) > before + 50)
    stop.set()
    for thread in threads:
        thread.join()
    stored = log.exchanges("voice")
    assert len(stored) == len({row.id for row in stored})
    assert {row.id for row in acknowledged} <= {row.id for row in stored}


@pytest.fixture
def breaking(log: PostgresTrafficLog, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Beginnings of statements whose answer is lost on the way, once each, after the server has carried them out."""
    lost: list[str] = []
    run = Link.run

    def broken(link: Link, statement: str, **params: object) -> list:
        result = run(link, statement, **params)
        for beginning in lost:
            if statement.strip().startswith(beginning):
                lost.remove(beginning)
                raise InterfaceError("network error")
        return result

    monkeypatch.setattr(Link, "run", broken)
    log.append([exchange(1), exchange(2, user="other")])
    return lost


def test_a_write_whose_answer_was_lost_is_done_once(log: PostgresTrafficLog, other: Connection, breaking: list[str]) -> None:
    breaking.append("WITH stored")
    log.append([exchange(3)])
    breaking.append("WITH known")
    log.add_feedback(Feedback("voice-1", 1.0, "up", None))
    assert not breaking
    assert log.count("voice") == 3
    assert other.run("SELECT count(*) FROM traffic_feedback") == [[1]]


def test_forgetting_whose_answer_was_lost_still_says_what_it_deleted(log: PostgresTrafficLog, breaking: list[str]) -> None:
    breaking.append("COMMIT")
    assert log.forget(user="u") == ["voice-1"]
    assert (breaking, log.forgotten(), log.count("voice")) == ([], {"voice-1"}, 1)


def test_an_append_on_its_way_does_not_bring_back_what_is_being_forgotten(log: PostgresTrafficLog, other: Connection) -> None:
    log.append([exchange(2)])
    other.run("BEGIN")
    other.run("LOCK TABLE traffic_exchange IN SHARE ROW EXCLUSIVE MODE")
    other.run("INSERT INTO traffic_forgotten VALUES ('voice-1')")
    stored: list[int] = []
    late = threading.Thread(target=lambda: stored.append(log.append([exchange(1)])))
    late.start()
    time.sleep(0.2)
    assert not stored  # it waits
    other.run("COMMIT")
    late.join()
    assert (stored, log.count("voice")) == ([0], 1)


def test_feedback_on_its_way_finds_that_its_answer_is_being_forgotten(log: PostgresTrafficLog, other: Connection) -> None:
    log.append([exchange(1)])
    other.run("BEGIN")
    other.run("DELETE FROM traffic_exchange")
    errors: list[Exception] = []

    def late() -> None:
        try:
            log.add_feedback(Feedback("voice-1", 1.0, "up", None))
        except UnknownAnswer as error:
            errors.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    time.sleep(0.2)
    other.run("COMMIT")
    thread.join()
    assert len(errors) == 1


def bytes_of_tables(postgres: PostgresServer, other: Connection) -> bytes:
    other.run("CHECKPOINT")  # what is in memory is on disk now
    return b"".join(path.read_bytes() for path in sorted((postgres.folder / "data" / "base").rglob("*")) if path.is_file())


def test_files_of_the_tables_hold_no_text_that_was_forgotten(log: PostgresTrafficLog, postgres: PostgresServer, other: Connection) -> None:
    log.append([exchange(n, user="ab"[n % 2], prompt=["keep me", "forget me"][n % 2], answer=os.urandom(3000).hex()) for n in range(50)])
    log.append([exchange(50, user="b", answer="forget me" + os.urandom(9000).hex())])  # kept beside the table
    log.add_feedback(Feedback("voice-1", 1.0, None, "forget me"))
    before = bytes_of_tables(postgres, other)
    log.forget(user="b")
    after = bytes_of_tables(postgres, other)
    assert (b"forget me" in before, b"forget me" in after, b"keep me" in after) == (True, False, True)


def test_a_long_transaction_that_may_read_forgotten_text_is_reported(log: PostgresTrafficLog, other: Connection) -> None:
    log.append([exchange(1), exchange(2, user="other")])
    other.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    other.run("SELECT 1")  # has a look at another thing, and so a view of all tables
    with pytest.raises(StillReadable, match="long transaction.*once more"):
        log.forget(user="u")
    assert (log.count("voice"), log.forgotten()) == (1, {"voice-1"})
    other.run("COMMIT")
    assert log.forget(request_ids=["voice-1"]) == ["voice-1"]


def test_a_reader_in_the_way_of_wiping_is_reported(log: PostgresTrafficLog, other: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    log.append([exchange(1)])
    other.run("BEGIN")
    other.run("SELECT * FROM traffic_feedback")
    with pytest.raises(StillReadable, match="once more"):
        log.forget(user="u")
    other.run("COMMIT")


def test_a_statement_that_takes_too_long_is_ended(url: str, other: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "STATEMENT_SECONDS", 0.2)
    log = PostgresTrafficLog(url)
    log.append([exchange(1)])
    other.run("BEGIN")
    other.run("LOCK TABLE traffic_exchange")
    begin = time.monotonic()
    with pytest.raises(LogUnreachable, match="timeout"):
        log.append([exchange(2)])
    assert time.monotonic() - begin < 5
    other.run("COMMIT")
    assert log.append([exchange(2)]) == 1


def test_what_the_server_refuses_names_no_text_of_a_user(log: PostgresTrafficLog) -> None:
    with pytest.raises(LogUnusable, match="refuses") as refused:
        log.append([exchange(1, prompt="my secret", answer=None)])
    assert "my secret" not in str(refused.value)
    assert refused.value.__suppress_context__  # nor does a traceback of it


def test_rows_are_durable_where_the_database_would_acknowledge_early(log: PostgresTrafficLog, url: str, other: Connection) -> None:
    other.run(f"ALTER ROLE {user(url)} SET synchronous_commit = off")
    [[setting]] = log._server.do(lambda link: link.run("SELECT current_setting('synchronous_commit')"))
    assert setting == "on"


SAMPLES = Path(__file__).parents[2] / "samples"
FIRST = (SAMPLES / "v1" / "postgres.sql").read_text()


def stored_by(url: str, postgres: PostgresServer, tables: str) -> None:
    """Put the tables of a release into the schema of the URL's user, who owns them."""
    role = user(url)
    with postgres.administrator() as connection:
        connection.execute_simple(f"SET ROLE {role}; SET search_path TO {role}")
        connection.execute_simple(tables)


def columns(connection: Connection, schema: str) -> list[list[str]]:
    return connection.run(
        "SELECT table_name, column_name, data_type, is_nullable, is_identity FROM information_schema.columns WHERE table_schema = :schema "
        "ORDER BY table_name, ordinal_position",
        schema=schema,
    )


def indexes(connection: Connection, schema: str) -> set[str]:
    found = connection.run("SELECT indexdef FROM pg_indexes WHERE schemaname = :schema", schema=schema)
    return {text.replace(f"{schema}.", "") for (text,) in found}


@pytest.mark.parametrize(
    "sample",
    [
        "v1/postgres.sql",
        "v2/postgres.sql",
        "v3/postgres_3.sql",
        "v3/postgres_4.sql",
        "v3/postgres_5.sql",
        "v3/postgres_6.sql",
        "v3/postgres_7.sql",
        "v3/postgres_8.sql",
        "v3/postgres_9.sql",
        "v3/postgres_10.sql",
        "v3/postgres.sql",
    ],
)
def test_tables_of_an_earlier_release_are_read_and_written(url: str, other: Connection, postgres: PostgresServer, sample: str) -> None:
    stored_by(url, postgres, (SAMPLES / sample).read_text())
    log = PostgresTrafficLog(url)
    rows = log.exchanges("voice")
    assert [(row.id, row.weight) for row in rows] == [("voice-0", 20.0), ("voice-1", 20.0), ("voice-2", 20.0)]
    assert [(item.feedback.rating, item.feedback.correction) for item in log.reviewed("voice")] == [
        ("up", None), (None, '{"intent": "open"}'),
    ]  # fmt: skip
    assert [(o.judged, o.count) for o in log.outcomes("voice", [rows[0].version])] == [(False, 3)]
    assert log.feedback_counts("voice", rows[0].version, 1_700_000_000.0) == FeedbackCounts(2, 0, 1)
    assert [len(log.corrected("voice", at)) for at in (1_700_000_100.0, 1_700_000_101.0)] == [1, 0]
    assert [each.exchange for each in log.arrivals("voice")] == rows
    assert log.append([exchange(3)]) == 0, "it was forgotten"
    assert log.append([exchange(4)]) == 1
    assert log.forget(request_ids=["voice-4"]) == ["voice-4"]
    assert PostgresTrafficLog(url).exchanges("voice") == rows, "once is enough"
    new = postgres.account()
    PostgresTrafficLog(new).append([exchange(1)])
    assert columns(other, user(url)) == columns(other, user(new))
    assert indexes(other, user(url)) == indexes(other, user(new))
    assert other.run("SELECT version FROM traffic_schema") == [[module.SCHEMA_VERSION]]


def test_processes_that_start_together_bring_the_tables_up_once(url: str, other: Connection, postgres: PostgresServer) -> None:
    stored_by(url, postgres, FIRST)
    found: list[list[Exchange]] = []
    threads = [threading.Thread(target=lambda: found.append(PostgresTrafficLog(url).exchanges("voice"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [[row.weight for row in rows] for rows in found] == [[20.0, 20.0, 20.0]] * 4


def test_a_migration_that_breaks_leaves_the_tables_as_they_were(
    url: str, other: Connection, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_by(url, postgres, FIRST)
    before = columns(other, user(url))
    whole = module.MIGRATIONS[1]
    monkeypatch.setitem(module.MIGRATIONS, 1, f"{whole} SELECT 1 / 0;")
    with pytest.raises(LogUnusable, match=r"has traffic schema 1, which cannot be brought to 2 \(division by zero\): start one process"):
        PostgresTrafficLog(url).count("voice")
    assert columns(other, user(url)) == before
    assert other.run("SELECT s.version, e.share FROM traffic_schema s, traffic_exchange e") == [[1, 0.2]] * 3
    monkeypatch.setitem(module.MIGRATIONS, 1, whole)
    assert PostgresTrafficLog(url).count("voice") == 3


def test_a_long_log_is_brought_up_whatever_a_statement_may_take(
    url: str, other: Connection, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "STATEMENT_SECONDS", 0.3)
    monkeypatch.setattr(postgres_server, "SILENCE_SECONDS", 0.5)
    stored_by(url, postgres, FIRST)
    monkeypatch.setitem(module.MIGRATIONS, 1, f"{module.MIGRATIONS[1]} SELECT pg_sleep(0.8);")
    assert PostgresTrafficLog(url).count("voice") == 3


def test_who_does_not_own_the_tables_is_told_what_to_do(url: str, other: Connection, postgres: PostgresServer) -> None:
    stored_by(url, postgres, FIRST)
    guest = postgres.account()
    for statement in (f"GRANT USAGE ON SCHEMA {user(url)} TO {user(guest)}", f"ALTER ROLE {user(guest)} SET search_path TO {user(url)}"):
        other.run(statement)
    other.run(f"GRANT ALL ON ALL TABLES IN SCHEMA {user(url)} TO {user(guest)}")
    with pytest.raises(LogUnusable, match="must be owner of table traffic_exchange.*as the owner of the tables"):
        PostgresTrafficLog(guest).count("voice")
    assert PostgresTrafficLog(url).count("voice") == 3
    assert PostgresTrafficLog(guest).count("voice") == 3


def test_tables_of_another_release_are_left_alone(log: PostgresTrafficLog, url: str, other: Connection) -> None:
    log.append([exchange(1)])
    other.run("UPDATE traffic_schema SET version = 99")
    with pytest.raises(LogUnusable, match=f"schema 99.*reads {module.SCHEMA_VERSION}: upgrade"):
        PostgresTrafficLog(url).count("voice")
    assert other.run("SELECT count(*) FROM traffic_exchange") == [[1]]


def test_tables_without_the_number_of_their_schema_are_left_alone(log: PostgresTrafficLog, url: str, other: Connection) -> None:
    log.append([exchange(1)])
    other.run("DELETE FROM traffic_schema")
    with pytest.raises(LogUnusable, match="has an empty table traffic_schema"):
        PostgresTrafficLog(url).count("voice")
    other.run(f"INSERT INTO traffic_schema VALUES ({module.SCHEMA_VERSION})")
    assert PostgresTrafficLog(url).count("voice") == 1


def test_a_database_that_is_read_only_is_told(url: str, other: Connection) -> None:
    other.run(f"ALTER ROLE {user(url)} SET default_transaction_read_only = on")
    with pytest.raises(LogUnreachable, match="is read-only: make it writable"):  # there are no tables, and none can be made
        PostgresTrafficLog(url).count("voice")
    other.run(f"ALTER ROLE {user(url)} RESET default_transaction_read_only")
    assert PostgresTrafficLog(url).count("voice") == 0
    other.run(f"ALTER ROLE {user(url)} SET default_transaction_read_only = on")
    with pytest.raises(LogUnreachable, match="is read-only: make it writable"):
        PostgresTrafficLog(url).append([exchange(1)])


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: PostgresServer, other: Connection) -> None:
    other.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(LogUnusable, match="LATIN1.*ENCODING 'UTF8'"):
        PostgresTrafficLog(postgres.url("administrator", "latin")).count("voice")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("rd@127", "rd-not@127"), "password authentication failed"),
        (("127.0.0.1", "127.0.0.1.invalid"), "see that it runs"),
        (("/traffic", "/no_such_database"), "does not exist"),
        (("disable", "require"), "SSL"),
        (("disable", "verify-full"), "SSL"),
        (("disable", "verify-full&sslrootcert=/nowhere"), "No such file"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_without_its_password(url: str, change: tuple[str, str], why: str) -> None:
    old, new = change
    log = PostgresTrafficLog(url.replace(old, new))
    with pytest.raises(LogUnreachable, match=why) as error:
        log.check()
    assert isinstance(error.value.__cause__, Exception)
    for text in (str(error.value), repr(log._server.where), str(error.value.__cause__)):
        assert "pass" not in text.replace("password authentication", "")


def test_without_a_word_on_tls_a_server_that_has_none_is_used(url: str) -> None:
    log = PostgresTrafficLog(url.removesuffix("?sslmode=disable"))
    assert log.append([exchange(1)]) == 1
    assert log.check().endswith("/traffic, fsync is off: a power cut may lose rows")


def test_tls_is_used_and_certificates_are_checked_as_the_url_says(postgres: PostgresServer, url: str) -> None:
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

    def with_mode(mode: str, host: str = "127.0.0.1") -> list:
        log = PostgresTrafficLog(url.replace("disable", mode).replace("127.0.0.1", host))
        return log._server.do(lambda link: link.run(encrypted))

    with postgres.tls() as certificate:
        assert [with_mode(mode) for mode in ("disable", "prefer", "require")] == [[[False]], [[True]], [[True]]]
        assert with_mode(f"verify-full&sslrootcert={certificate}") == [[True]]
        assert with_mode(f"verify-ca&sslrootcert={certificate}", "localhost") == [[True]]
        with pytest.raises(LogUnreachable, match="certificate verify failed: self"):
            with_mode("verify-ca")
        with pytest.raises(LogUnreachable, match="certificate is not valid for 'localhost'"):
            with_mode(f"verify-full&sslrootcert={certificate}", "localhost")


def test_a_user_who_does_not_own_the_tables_cannot_wipe_them(
    log: PostgresTrafficLog, url: str, postgres: PostgresServer, other: Connection
) -> None:
    log.append([exchange(1)])
    guest = postgres.account()
    other.run(f"GRANT ALL ON SCHEMA {user(url)} TO {user(guest)}")
    other.run(f"GRANT ALL ON ALL TABLES IN SCHEMA {user(url)} TO {user(guest)}")
    other.run(f"ALTER ROLE {user(guest)} SET search_path TO {user(url)}")
    with pytest.raises(StillReadable, match="does not own traffic_exchange"):
        PostgresTrafficLog(guest).forget(user="u")


def test_a_forked_process_opens_its_own_connections(log: PostgresTrafficLog) -> None:
    log.append([exchange(1)])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if log.append([exchange(2)]) == 1 else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert log.count("voice") == 2


def test_a_url_is_read_as_any_other() -> None:
    read = server("postgresql://me:p%40ss@[::1]/db%20x?sslmode=verify-ca&sslrootcert=/ca.pem", TRAFFIC_URL)
    assert read == Server("::1", 5432, "db x", "me", "p@ss", "verify-ca", "/ca.pem")
    assert server("postgres://me@host:6/db", TRAFFIC_URL) == Server("host", 6, "db", "me", None, "prefer", None)


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://me:s3cret@host/db",
        "postgresql://me:s3cret@host",
        "postgresql://me:s3cret@/db",
        "postgresql://host/db",
        "postgresql://me:s3cret#x@host/db",
        "postgresql://me:s3cret/x@host/db",
        "postgresql://me:s3cret@host:port/db",
        "postgresql://me:s3cret@host/db?sslmode=maybe",
        "postgresql://me:s3cret@host/db?options=-c",
        "host",
    ],
)
def test_what_is_no_url_of_a_database_is_refused_without_naming_it(wrong: str) -> None:
    with pytest.raises(ValueError, match="FTASSETS_TRAFFIC_URL") as error:
        server(wrong, TRAFFIC_URL)
    assert "s3cret" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_the_profile_and_the_url_choose_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRAFFIC_URL, raising=False)
    for profile in ("embedded", "production"):
        monkeypatch.setenv("FTASSETS_PROFILE", profile)
        assert type(traffic_log(Home(tmp_path))) is SqliteTrafficLog
    monkeypatch.setenv(TRAFFIC_URL, "postgresql://me@host/db")
    assert type(traffic_log(Home(tmp_path))) is PostgresTrafficLog
    monkeypatch.delenv("FTASSETS_PROFILE")
    with pytest.raises(ValueError, match="set the profile, or unset the URL"):
        traffic_log(Home(tmp_path))
    assert not list(tmp_path.iterdir())
