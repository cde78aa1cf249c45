"""Reports among the artifacts: found by the beginning of their digest, and read only while they are what was written."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.reports import (
    ReportDamaged,
    addressed,
    find_report,
    read_eval_report,
    read_report,
    report_key,
    store_report,
)
from ftassets.domain.formats import KINDS
from ftassets.domain.report_kinds import REPORT_KINDS, Name

REPORT = {"verdict": "QUIET", "statistics": [{"name": "novelty", "value": 0.25}], "reason": "h\u00e9"}


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    """Three reports; the one that sorts last is the oldest. Beside them another kind, and what others keep in the same folder."""
    folder = tmp_path / "reports" / "triage"
    folder.mkdir(parents=True)
    for age, digest in enumerate(("aa1", "ab2", "bc3")):
        path = folder / f"eval-{digest}.json"
        path.write_text("{}")
        os.utime(path, (1000 - age, 1000 - age))
    for name in ("drift-bd4.json", "latest.json", "latest.json.lock", "review-aa1.json", ".eval-be5.json.x"):
        (folder / name).write_text("{}")
    return FolderArtifacts(tmp_path)


def test_a_report_is_found_by_the_beginning_of_its_digest_and_without_one_the_newest(artifacts: FolderArtifacts) -> None:
    assert find_report(artifacts, "triage", "eval") == "aa1"
    assert find_report(artifacts, "triage", "eval", "b") == "bc3"
    assert find_report(artifacts, "triage", "drift") == "bd4"


@pytest.mark.parametrize(
    ("loop", "beginning", "said"),
    [("triage", "a", "begins 2 names"), ("triage", "x", "names no eval report of triage"), ("other", "", "nothing is stored: ")],
)
def test_what_names_no_one_report_is_refused_with_those_there_are(artifacts: FolderArtifacts, loop: str, beginning: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_report(artifacts, loop, "eval", beginning)


def test_a_report_comes_back_and_storing_it_again_changes_nothing(tmp_path: Path) -> None:
    artifacts = FolderArtifacts(tmp_path)
    digest = store_report(artifacts, "triage", "drift", REPORT)
    assert store_report(artifacts, "triage", "drift", REPORT) == digest
    assert read_report(artifacts, "triage", "drift", digest) == REPORT
    assert artifacts.names("reports/triage") == [f"drift-{digest}.json"]


@pytest.mark.parametrize("kind", REPORT_KINDS)
@pytest.mark.parametrize("version", [1, 2])
def test_what_would_be_stored_has_the_key_the_digest_and_the_bytes_of_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Name, version: int
) -> None:
    name = REPORT_KINDS[kind].format
    monkeypatch.setitem(KINDS, name, replace(KINDS[name], version=version))
    artifacts = FolderArtifacts(tmp_path)
    expected = addressed("triage", kind, REPORT)
    assert not artifacts.exists(expected.key)
    assert store_report(artifacts, "triage", kind, REPORT) == expected.digest
    assert artifacts.get(expected.key) == expected.content
    assert expected.key == report_key("triage", kind, expected.digest)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "is not there"), (b"{", "cannot be read"), (b'{"verdict":"ALARM"}', "was changed after it was written")]
)
def test_what_is_not_the_report_is_not_read(tmp_path: Path, content: bytes | None, why: str) -> None:
    artifacts = FolderArtifacts(tmp_path)
    digest = store_report(artifacts, "triage", "drift", REPORT)
    path = tmp_path / report_key("triage", "drift", digest)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ReportDamaged, match=f"{why}.*materialize drift_report again"):
        read_report(artifacts, "triage", "drift", digest)


def test_a_report_of_another_kind_is_no_eval_report(tmp_path: Path) -> None:
    artifacts = FolderArtifacts(tmp_path)
    digest = store_report(artifacts, "triage", "eval", REPORT)
    with pytest.raises(ReportDamaged, match="not an eval report"):
        read_eval_report(artifacts, "triage", digest)
