"""A long traffic log, written by one statement of the database without its indexes, which are made afterwards."""

import sqlite3
import time
from collections.abc import Sequence

from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home

DAYS = 300
BEGIN = time.time() - DAYS * 86400
USERS = 20_000


def fill(home: Home, loop: str, versions: Sequence[str], rows: int) -> None:
    """Rows of some hundred bytes, spread evenly over `DAYS`, each answered by the version in production then: see `answer_id`."""
    SqliteTrafficLog(home.traffic_db).count(loop)  # which makes the tables
    connection = sqlite3.connect(home.traffic_db)
    for setting in ("synchronous = OFF", "cache_size = -400000"):
        connection.execute(f"PRAGMA {setting}")
    indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    connection.execute("CREATE TEMP TABLE made (number INTEGER PRIMARY KEY, digest TEXT)")
    connection.executemany("INSERT INTO made VALUES (?, ?)", enumerate(versions))
    text = "please turn the lamp of room 7 on"
    columns = "id, loop, version, user, prompt, messages, answer, status, at, latency_ms, weight, well_formed, stored_at"
    with connection:
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute(
            f"""WITH RECURSIVE row (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM row WHERE n + 1 < :rows)
            INSERT INTO exchange ({columns})
            SELECT printf('answer-%09d', n), :loop, digest, printf('%032x', n % {USERS}), :text,
                json_array(json_object('role', 'user', 'content', :text)),
                '{{"intent": "on"}}', 200, :begin + n * :step, 800.0, 100.0, 1, :begin + n * :step
            FROM row JOIN made ON made.number = n * :versions / :rows""",
            {"rows": rows, "loop": loop, "text": text, "begin": BEGIN, "step": DAYS * 86400 / rows, "versions": len(versions)},
        )
        for _, sql in indexes:
            connection.execute(sql)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def answer_id(number: int) -> str:
    """Id of the row of a number from 0 on."""
    return f"answer-{number:09d}"
