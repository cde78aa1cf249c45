"""How long reports of monitors stay."""

import os
from pathlib import Path

import dagster as dg
import pytest

from ftassets.assets._shared import stored_reports
from ftassets.assets._shared.stored_reports import DRIFT_REPORT, keep_report
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.reports import report_digests, report_key, store_report


def test_the_newest_reports_stay_and_those_a_retrain_was_started_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_reports, "KEPT", 3)
    artifacts, made = FolderArtifacts(tmp_path), list[str]()
    other = store_report(artifacts, "support", "eval", {"number": 0})
    with dg.DagsterInstance.ephemeral() as instance:
        for number in range(6):
            made.append(keep_report(instance, artifacts, "support", "drift", {"number": number}))
            os.utime(artifacts.local(report_key("support", "drift", made[-1])), (number, number))
            if number == 1:
                instance.add_run(dg.DagsterRun(job_name="support__retrain", tags={DRIFT_REPORT: made[1]}))
        again = keep_report(instance, artifacts, "support", "drift", {"number": 5})
    assert again == made[-1]
    assert set(report_digests(artifacts, "support", "drift")) == {made[1], *made[-3:]}
    assert report_digests(artifacts, "support", "eval") == [other]
