"""The file of the newest live reports."""

from ftassets.domain.monitoring.latest import LatestReport, read_latest


def test_what_is_no_file_of_reports_has_none() -> None:
    report = LatestReport(at=1.0, version="v", verdict="PASS", values={"a": 1.0})
    assert read_latest(b'{"x":' + report.model_dump_json().encode() + b"}") == {"x": report}
    for broken in (b"", b"{", b"[]", b'{"x": {"at": 1}}', b'{"x": {"at": "NaN", "version": null, "verdict": ""}}'):
        assert read_latest(broken) == {}
