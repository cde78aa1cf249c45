"""A version's answers come page by page, each once."""

from itertools import islice
from pathlib import Path

import pytest

from ftassets.assets._shared import version_answers
from ftassets.assets._shared.version_answers import answers_of
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.domain.traffic.exchange import Exchange


def exchange(number: int, at: float, version: str = "v") -> Exchange:
    return Exchange(f"{number:04}", "support", version, "u", "p", "[]", "{}", 200, at, 1.0, None, None, None, 1.0)


@pytest.mark.parametrize("moments", [1, 3, 50])
def test_pages_hold_every_answer_once_even_when_many_have_the_same_time(
    tmp_path: Path, moments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_answers, "PAGE", 4)
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    log.append([exchange(number, float(number * moments // 50), "v" if number % 3 else "other") for number in range(50)])
    found = [e.id for e in answers_of(log, "support", "v", 0.0, 1e9)]
    assert sorted(found) == [f"{number:04}" for number in range(50) if number % 3]
    assert [e.at for e in answers_of(log, "support", "v", 0.0, 1e9)] == sorted(float(int(i) * moments // 50) for i in found)
    assert {e.at for e in answers_of(log, "support", "v", 10.0, 20.0)} <= set(range(10, 20))


def test_a_reader_that_has_enough_reads_no_further_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SqliteTrafficLog(tmp_path / "traffic.db")
    log.append([exchange(number, float(number)) for number in range(3 * version_answers.PAGE)])
    read: list[int] = []
    exchanges = log.exchanges

    def counted(*window) -> list[Exchange]:
        found = exchanges(*window)
        read.append(len(found))
        return found

    monkeypatch.setattr(log, "exchanges", counted)
    assert len(list(islice(answers_of(log, "support", "v", 0.0, float("inf")), 10))) == 10
    assert read == [version_answers.PAGE]
