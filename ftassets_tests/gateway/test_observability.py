"""Alert rules, dashboard and runbook: every metric they name is one the gateway emits, and every link leads somewhere."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ftassets.config.home import Home
from ftassets.domain.health.subjects import SUBJECTS
from ftassets_tests import ROOT
from ftassets_tests.gateway.test_prometheus import STATES, populated

ALL: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
RULES = [rule for rule in ALL if "alert" in rule]
RECORDED = {rule["record"]: rule["expr"] for rule in ALL if "record" in rule}
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/ftassets.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SECTIONS = {
    re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).strip().replace(" ", "-"): line
    for line in (ROOT / "docs/runbook.md").read_text().splitlines()
    if line.startswith("## ")
}


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Labels of each sample the gateway shows, by name."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(populated(Home(tmp_path_factory.mktemp("home"))).render(STATES).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        expression = rule["expr"]
        for name, recorded in RECORDED.items():
            expression = expression.replace(name, f"({recorded})")
        yield rule["alert"], expression
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_expressions_name_metrics_and_labels_that_are_there(where: str, expression: str, emitted: dict[str, set[str]]) -> None:
    names = re.findall(r"ftassets_\w+", expression)
    assert names or where == "GatewayAbsent"
    assert set(names) <= emitted.keys()
    for name, selector in re.findall(r"(ftassets_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= emitted[name]
    grouped = {label.strip() for labels in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in labels.split(",")}
    assert grouped <= set().union(*(emitted[name] for name in names))
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
    for name in names:  # a counter is read as a rate or an increase, a gauge is not
        assert bool(re.search(rf"(rate|increase)\({name}", expression)) == name.endswith(("_total", "_bucket", "_count"))


def test_every_metric_is_shown_or_watched(emitted: dict[str, set[str]]) -> None:
    used = {name for _, expression in expressions() for name in re.findall(r"ftassets_\w+", expression)}
    left = {name for name in emitted if not name.endswith(("_created", "_sum", "_count"))} - used
    assert left == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_has_a_severity_a_summary_and_a_section_of_the_runbook(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["annotations"]["summary"].endswith(".")
    assert "humanize }}" not in rule["annotations"]["summary"], "it prints a share of 0.1636 as 163.6m"
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor in SECTIONS
    assert rule["labels"]["severity"] == SUBJECTS[anchor].severity, "Dagster and Prometheus say the same"
    assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))


def test_what_dagster_alerts_about_has_a_section_too() -> None:
    sources = [*(ROOT / "ftassets").rglob("*.py")]
    subjects = {subject for path in sources for subject in re.findall(r'alert_about\(\s*\w+, "([a-z-]+)"', path.read_text())}
    assert {"run-failed", "promotion-refused", "quality-drop"} <= subjects
    assert subjects <= SUBJECTS.keys() <= SECTIONS.keys()


def test_verdicts_and_reports_in_the_rules_are_those_that_are_recorded() -> None:
    from ftassets.domain.drift import DriftVerdict
    from ftassets.domain.gates.result import Verdict

    recorded = set(
        re.findall(r'record_latest\(\s*control,\s*loop\.name,\s*"(\w+)"', "".join(p.read_text() for p in (ROOT / "ftassets").rglob("*.py")))
    )
    named = [found for rule in RULES for found in re.findall(r'report="(\w+)", verdict="([A-Z ]+)"', rule["expr"])]
    assert len(named) >= 3
    assert all("on (loop, version) ftassets_production_info" in rule["expr"] for rule in RULES if "verdict" in rule["expr"])
    for report, verdict in named:
        assert report in recorded | {"drift_report"}
        assert verdict in (set(DriftVerdict) if report == "drift_report" else set(Verdict))


def test_the_dashboard_has_what_grafana_s_importer_needs() -> None:
    assert DASHBOARD["uid"] == "ftassets"
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 36
    variables = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "loop": "query"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_no_two_panels_overlap_and_none_leaves_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_scrapes_the_gateway_s_port_and_loads_the_rules() -> None:
    from ftassets.processes.up import Ports

    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())
    assert config["rule_files"] == ["alerts.yaml"]
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == [f"127.0.0.1:{Ports().gateway}"]
