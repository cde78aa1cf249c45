"""Metrics a loop names beside its gates, in the report and on its page."""

import json
from pathlib import Path

import dagster as dg

from ftassets.lineage.events import data_version, newest, node
from ftassets_tests.tiny_loop import LOOP, tiny_loop


def test_metrics_of_the_loop_are_in_the_report(tmp_path: Path) -> None:
    with tiny_loop(
        tmp_path, metrics=["chrf", "validity"], gates=[{"metric": "exact_match", "no_worse_than": "production", "margin": 0.5}]
    ) as tiny:
        assert tiny.run("retrain").success
        event = newest(tiny.instance, node(LOOP, "eval_report"))
        assert event is not None
        report = json.loads((tiny.home.reports / LOOP / f"eval-{data_version(event)}.json").read_bytes())
        assert set(report["metrics"]) == {"chrf", "validity"}
        assert set(report["metrics"]["validity"]) == {"base", "production", "candidate"}
        shares = report["metrics"]["validity"]["candidate"]
        assert set(shares) >= {"established", "drifted", "held_out"}
        assert all(0 <= values["validity"] <= 1 for values in shares.values())
        shown = event.metadata["metrics"]
        assert isinstance(shown, dg.MarkdownMetadataValue)
        assert "chrf" in (shown.md_str or "")
        assert report["latency_ms"] == {}  # no gate asks for it
