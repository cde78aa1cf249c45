"""Debian's Prometheus and Alertmanager with the rules and the dashboard as they are shipped, on a gateway that answers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ftassets.backends.control.base import Control
from ftassets.backends.control.health import write_health
from ftassets.backends.control.latest import record_latest
from ftassets.backends.notifier.console import ConsoleNotifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import control
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.testing.doubles.http import Receiver, receiver
from ftassets.testing.releases import loop_config, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests import ROOT
from ftassets_tests.gateway.test_observability import DASHBOARD, PANELS, RULES
from ftassets_tests.gateway.test_prometheus import HEALTH

BINARIES = ("prometheus", "promtool", "prometheus-alertmanager")
DEPLOY = ROOT / "deploy/prometheus"
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, BINARIES)),
    reason="needs Debian's prometheus and prometheus-alertmanager: apt-get install prometheus prometheus-alertmanager",
)


@pytest.mark.parametrize("name", ["alerts_test.yaml", "alerts_days_test.yaml"])
def test_every_alert_fires_and_is_over_in_promtool_s_time(name: str) -> None:
    found = subprocess.run(["promtool", "test", "rules", name], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_no_alert_is_left_out_by_those_tests() -> None:
    fired, over = set(), set()
    for path in DEPLOY.glob("*_test.yaml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                if case["exp_alerts"]:
                    fired.add(case["alertname"])
                elif case["alertname"] in fired:
                    over.add(case["alertname"])
    assert fired == over == {rule["alert"] for rule in RULES}


@dataclass
class Stack:
    """A gateway with the loops `quiet` and `told`, whose alerts Dagster sends itself, both monitors, and what people got.

    A third loop has a candidate in shadow.
    """

    control: Control
    gateway: str
    prometheus: str
    alertmanager: str
    people: Receiver
    told: LoopConfig
    versions: dict[str, str]
    seen: int = 0
    state: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def report(
        self, loop: str, name: str, verdict: str, values: dict[str, float] | None = None, limits: dict[str, float] | None = None
    ) -> None:
        """Record a report about the loop's production version, as its asset does."""
        found = LatestReport(at=time.time(), version=self.versions[loop], verdict=verdict, values=values or {}, limits=limits or {})
        record_latest(self.control, loop, name, found)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers now."""
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expression}, trust_env=False).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def notices(self) -> dict[tuple[str, str, str], str]:
        """Status of each alert, by name, loop and version or subject, as people were told last."""
        for message in self.people.received[self.seen :]:
            self.seen += 1
            for alert in message.body["alerts"]:
                labels = alert["labels"]
                key = (labels["alertname"], labels["loop"], labels.get("version") or labels.get("about", ""))
                assert (self.state.get(key), alert["status"]) != (None, "resolved")
                self.state[key] = alert["status"]
        return self.state


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    home, at = Home(folder / "home"), _ports(2)
    prometheus, alertmanager = (f"http://127.0.0.1:{port}" for port in at)
    told = loop_config("told", notify={"alertmanager": alertmanager})
    loops, host = {"quiet": loop_config("quiet"), "told": told, "shadowed": loop_config("shadowed")}, ThreadHost(stub_engine())
    with ExitStack() as running:
        people = running.enter_context(receiver())
        running.callback(host.close)
        serving, gateway = running.enter_context(run_gateway_in_thread(home, loops, host))
        versions = {loop: released(home, loop, loop) for loop in ("quiet", "told")}
        for loop, version in versions.items():
            serving.start(loop, version, 100, 60.0, "test", "because")
        for name, weight in (("production", 100), ("candidate", 0)):
            serving.start("shadowed", released(home, name, "shadowed"), weight, 3600.0, "test", "because")
        (folder / "alertmanager.yaml").write_text(
            json.dumps(
                {
                    "route": {"receiver": "people", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"},
                    "receivers": [{"name": "people", "webhook_configs": [{"url": people.url, "send_resolved": True}]}],
                }
            )
        )
        shutil.copy(DEPLOY / "alerts.yaml", folder)
        config = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager.removeprefix("http://")]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [gateway.removeprefix("http://")]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        running.enter_context(
            _process(
                folder, alertmanager, "prometheus-alertmanager", "--config.file=alertmanager.yaml", "--cluster.listen-address=",
                f"--storage.path={folder / 'alertmanager'}",
            )
        )  # fmt: skip
        running.enter_context(
            _process(
                folder, prometheus, "prometheus", "--config.file=prometheus.yaml", f"--storage.tsdb.path={folder / 'prometheus'}",
                "--rules.alert.resend-delay=1s",
            )
        )  # fmt: skip
        yield Stack(control(home), gateway, prometheus, alertmanager, people, told, versions)


def test_every_query_of_the_dashboard_has_data(stack: Stack) -> None:
    _measured(stack, "PASS", in_a_row=0)
    write_health(stack.control, "quiet", HEALTH)
    expressions = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
    expressions += [
        ("variable", f"count by (loop) ({v['query']['query'].split('(')[1].split(',')[0]})") for v in DASHBOARD["templating"]["list"][1:]
    ]
    missing = list[tuple[str, str]]()

    def asked() -> bool:
        _traffic(stack)
        missing[:] = [each for each in expressions if not _numbers(stack, each[1].replace("$loop", ".*").replace("$__rate_interval", "8s"))]
        return not missing

    _until(asked, lambda: missing)
    assert len(expressions) > 20


def test_alerts_on_reports_reach_people_once_and_are_resolved(stack: Stack) -> None:
    quiet, told = (stack.versions[loop][:12] for loop in ("quiet", "told"))
    _measured(stack, "FAIL", in_a_row=1)
    dagster = routed(stack.control, stack.told, ConsoleNotifier())
    drop = ("quality-drop", "live quality dropped and stays down", "0.7 of 0.9", "judged")
    assert dagster.notify(alert_about(stack.told, *drop))
    assert dagster.notify(alert_about(stack.told, "run-failed", "told__retrain failed", "out of memory", "told__retrain"))
    expected = {
        ("QualityDrop", "quiet", quiet), ("GoldenBelowFloor", "quiet", quiet), ("GoldenRegression", "quiet", quiet),
        ("BehaviourChanged", "quiet", quiet), ("BehaviourChanged", "told", told),
        ("QualityDrop", "told", "judged"), ("RunFailed", "told", "told__retrain"),
    }  # fmt: skip
    _until(lambda: set(stack.notices()) == expected, lambda: stack.notices())
    assert set(stack.notices().values()) == {"firing"}
    assert not stack.query('ALERTS{alertname="QualityDrop", loop="told"}'), "Dagster tells of that loop"

    _measured(stack, "FAIL", in_a_row=2)
    drifting = ("DriftAlarm", "quiet", quiet)
    _until(lambda: stack.notices().get(drifting) == "firing", lambda: stack.notices())
    for loop in stack.versions:  # no data: the alarm stands
        stack.report(loop, "drift_report", "NOT ENOUGH DATA", {"alarms_in_a_row": 2}, {"alarms_in_a_row": 2})
    _until(lambda: bool(stack.query('ftassets_report_verdict{report="drift_report", verdict="NOT ENOUGH DATA"}')), lambda: "")
    assert stack.query('ALERTS{alertname="DriftAlarm", alertstate="firing", loop="quiet"}')

    _measured(stack, "PASS", in_a_row=0)
    assert dagster.notify(alert_about(stack.told, *drop, resolved=True))
    assert dagster.notify(alert_about(stack.told, "run-failed", "works again", "run 2", "told__retrain", resolved=True))
    _until(lambda: set(stack.notices().values()) == {"resolved"}, lambda: stack.notices())
    assert expected | {drifting} == set(stack.notices()), "Dagster's health sensor tells of drift in the other loop"


def test_an_alert_is_about_the_version_in_production_and_not_the_one_before(stack: Stack) -> None:
    stack.versions = {loop: "f" * 64 for loop in stack.versions}
    _measured(stack, "FAIL", in_a_row=5)
    _until(lambda: bool(stack.query('ftassets_report_verdict{version="ffffffffffff", verdict="FAIL"}')), lambda: "")
    assert [each["metric"]["alertname"] for each in stack.query('ALERTS{alertstate="firing"}')] == []


def _measured(stack: Stack, verdict: str, in_a_row: float) -> None:
    """All reports of both loops with one verdict."""
    high = 0.95 if verdict == "PASS" else 0.6
    for loop in stack.versions:
        stack.report(loop, "drift_report", "ALARM" if in_a_row else "QUIET", {"novelty_mean": 0.3, "alarms_in_a_row": in_a_row},
            {"novelty_mean": 0.2, "alarms_in_a_row": 2})  # fmt: skip
        stack.report(loop, "behaviour_report", verdict, {"text_length": 0.1}, {"text_length": 0.2})
        stack.report(loop, "quality_report", verdict, {"judged": 0.8}, {"judged": 0.9})
        stack.report(loop, "live_golden_report", verdict, {"share": high - 0.1, "low": high - 0.2, "high": high}, {"share": 0.85})
        stack.report(loop, "since_evaluation", verdict)


def _traffic(stack: Stack) -> None:
    """Answers, a streamed one, failures, and a request for a loop that is not there."""
    body = {"model": "quiet", "messages": [{"role": "user", "content": "hello"}]}
    for fields in ({}, {"stream": True}, {"messages": [{"role": "user", "content": "fail"}]}, {"model": "nobody"}):
        httpx.post(f"{stack.gateway}/v1/chat/completions", json={**body, **fields}, trust_env=False, timeout=30)


def _numbers(stack: Stack, expression: str) -> bool:
    return any(each["value"][1] != "NaN" for each in stack.query(expression))


def _until(holds: Callable[[], bool], found: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, found()
        time.sleep(0.25)


def _ports(count: int) -> list[int]:
    """Free ports of loopback, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _process(folder: Path, url: str, name: str, *arguments: str) -> Iterator[None]:
    """A process in a folder that is ready at its URL, and is ended with the block."""
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    with (folder / f"{name}.log").open("wb") as output:
        command = [name, *arguments, f"--web.listen-address={url.removeprefix('http://')}"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            _until(lambda: _ready(process, url), lambda: (folder / f"{name}.log").read_text())
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)


def _ready(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
