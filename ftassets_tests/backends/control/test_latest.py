from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ftassets.backends.control.latest import record_latest
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.domain.monitoring.latest import LatestReport, read_latest


def report(at: float, verdict: str = "PASS") -> LatestReport:
    return LatestReport(at=at, version="v", verdict=verdict, values={"x": 1.0}, limits={"x": 2.0})


def stored(home: Home) -> dict[str, LatestReport]:
    return read_latest((home.reports / "voice" / "latest.json").read_bytes())


def test_each_report_replaces_its_own_part(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record_latest(control(home), "voice", "a", report(1))
    record_latest(control(home), "voice", "b", report(2))
    record_latest(control(home), "voice", "a", report(3, "FAIL"))
    assert stored(home) == {"a": report(3, "FAIL"), "b": report(2)}


def test_a_late_writer_does_not_bring_an_older_report_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record_latest(control(home), "voice", "a", report(2))
    record_latest(control(home), "voice", "a", report(1, "FAIL"))
    assert stored(home)["a"] == report(2)


def test_reports_written_at_the_same_time_do_not_lose_each_other(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: record_latest(control(home), "voice", f"r{number}", report(number)), range(24)))
    assert len(stored(home)) == 24


def test_a_damaged_file_is_written_anew(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record_latest(control(home), "voice", "a", report(1))
    (home.reports / "voice" / "latest.json").write_bytes(b'{"a": {')
    record_latest(control(home), "voice", "b", report(2))
    assert stored(home) == {"b": report(2)}
