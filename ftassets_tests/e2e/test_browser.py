"""What a person sees: the lineage, a report with its gates, and a drift alarm, in a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ftassets.testing.tiny_loop import COLOURS, LOOP, ROOMS, TinyLoop, tiny_loop
from ftassets_tests.e2e.test_round_trip import ask

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.models,
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium"),
]

DEFINITIONS = """
from pathlib import Path
import dagster as dg
from ftassets.components.fine_tune_loop import build_loop
from ftassets.config.loop import LoopConfig
from ftassets.config.home import Home
from ftassets.components.resources import resources

loop = LoopConfig.model_validate_json(Path({config!r}).read_text())
defs = dg.Definitions.merge(build_loop(loop), dg.Definitions(resources=resources(Home(Path({home!r})))))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    """A loop with a release in production and a drift alarm."""
    with tiny_loop(tmp_path_factory.mktemp("told"), on_disk=True) as tiny:
        assert tiny.run("retrain").success
        assert tiny.move("start").success
        for number in range(20):
            ask(tiny, f"dim the {COLOURS[number % 6]} lamp in the {ROOMS[number % 8]} kindly")
        for number in range(20):
            ask(tiny, f"open curtain number {number} facing the {ROOMS[number % 8]} window")
        assert tiny.run("watch").success
        yield tiny


@pytest.fixture(scope="module")
def ui(told: TinyLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a Dagster webserver that shows the loop."""
    folder = tmp_path_factory.mktemp("ui")
    config = folder / "loop.json"
    config.write_text(told.loop.model_dump_json())
    module = folder / "shown.py"
    module.write_text(DEFINITIONS.format(config=str(config), home=str(told.home.root)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "dagster-webserver"), "-f", str(module), "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(120):
            try:
                if requests.get(f"http://127.0.0.1:{port}/server_info", timeout=2).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 9)


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        (f"/asset-groups/{LOOP}/lineage", ["query_embeddings", "drift_report", "curated_dataset", "eval_report", "endpoint"]),
        (f"/assets/{LOOP}/eval_report?view=overview", ["exact_match_established_no_worse", "latency_p95_no_worse"]),
        (f"/assets/{LOOP}/drift_report?view=overview", ["ALARM"]),
        (f"/assets/{LOOP}/drift_report?view=checks", ["within_drift_budget"]),
    ],
)
def test_the_page_shows(ui: str, path: str, texts: list[str], tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    location = "/locations/shown.py" if path.startswith("/asset-groups") else ""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{ui}{location}{path}")
        for text in texts:
            page.get_by_text(text).first.wait_for(timeout=60_000)
        browser.close()
