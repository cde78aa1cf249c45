"""The history of Dagster's tables, read once a process: Dagster reads its forty files whenever it opens its storage, as for each tick."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory


class ReadOnce:
    """In place of alembic's `ScriptDirectory` where Dagster compares a database with its newest table history."""

    @staticmethod
    @cache
    def from_config(config: Any) -> "ScriptDirectory":
        """The history that an alembic configuration names, from its files the first time."""
        from alembic.script import ScriptDirectory

        return ScriptDirectory.from_config(config)


def read_once() -> None:
    """Have Dagster read it once in this process, which has its storage open: it takes longer than all else that a tick does.

    For a tick, not for a module that is imported: alembic and SQLAlchemy, which it takes, are a fifth of the time to load definitions.
    """
    from dagster._core.storage import sql

    if hasattr(sql, "ScriptDirectory"):  # else another release of Dagster does it otherwise
        sql.ScriptDirectory = ReadOnce  # type: ignore[assignment, misc]
