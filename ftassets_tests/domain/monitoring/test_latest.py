"""The file of the newest live reports."""

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.monitoring.latest import LatestReport, read_latest


def test_what_is_no_file_of_reports_has_none() -> None:
    report = LatestReport(at=1.0, version="v", verdict="PASS", values={"a": 1.0})
    assert read_latest(b'{"x":' + report.model_dump_json().encode() + b"}") == {"x": report}
    for broken in (b"", b"{", b"[]", b'{"x": {"at": 1}}', b'{"x": {"at": "NaN", "version": null, "verdict": ""}}'):
        assert read_latest(broken) == {}


DAY = 86_400.0


@given(st.lists(st.sampled_from(["PASS", "FAIL", "ALARM", "NOT ENOUGH DATA"]), min_size=1, max_size=12))
def test_a_monitor_knows_since_when_it_has_had_no_verdict(verdicts: list[str]) -> None:
    newest = None
    for day, verdict in enumerate(verdicts):
        newest = LatestReport(at=day * DAY, version="v", verdict=verdict).after(newest)
    assert newest is not None
    silent = next((n for n, verdict in enumerate(reversed(verdicts)) if verdict != "NOT ENOUGH DATA"), len(verdicts))
    assert newest.unmeasured_since == ((len(verdicts) - silent) * DAY if silent else None)
    assert newest.silence(newest.at) == ((silent - 1) * DAY if silent - 1 >= 3 else None)
