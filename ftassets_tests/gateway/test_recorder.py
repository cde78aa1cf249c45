"""What the writer of the log does when the log cannot be written; what it does otherwise is in test_chat.py and test_kill.py."""

from collections.abc import Sequence
from pathlib import Path

from ftassets.backends.traffic_log.base import Exchange, Feedback, LogUnreachable
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.gateway.recorder import Recorder
from ftassets.testing.contracts.traffic_log import exchange


class Away(SqliteTrafficLog):
    """A log whose server is away, as long as `away` says."""

    away = True
    tries = 0

    def append(self, exchanges: Sequence[Exchange]) -> int:
        self.tries += 1
        if self.away:
            raise LogUnreachable("no answer")
        return super().append(exchanges)


def test_a_server_that_is_away_is_not_asked_again_for_each_row(tmp_path: Path) -> None:
    log = Away(tmp_path / "traffic.db")
    recorder = Recorder(log)
    rows = [exchange(1), Feedback("voice-1", 1.0, "up", None), exchange(2)]
    assert [str(error) for error in recorder._write(rows)] == ["no answer"] * 3
    assert log.tries == 1
    log.away = False
    assert recorder._write(rows) == [None] * 3
    recorder.close()


def test_a_row_that_cannot_be_stored_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    recorder = Recorder(log)
    first, bad, last = recorder._write([exchange(1), exchange(2, answer=None), exchange(3)])
    recorder.close()
    assert (first, last) == (None, None)
    assert "NOT NULL" in str(bad)
    assert [row.id for row in log.exchanges("voice")] == ["voice-1", "voice-3"]
