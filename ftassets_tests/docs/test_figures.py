"""The figures of the README come from one run."""

import importlib.util
import re
from types import ModuleType
from typing import Any

import pytest

from ftassets_tests import ROOT

README = (ROOT / "README.md").read_text()
SHARE = {"share": 0.5, "low": 0.4, "high": 0.6, "n": 200}
SUMMARY: dict[str, Any] = {
    "timeline": [
        [400, "drift report: QUIET, novelty_mean 0.1"],
        [500, "users say what production knows"],
        [560, "drift report: ALARM, novelty_mean 0.5"],
        [580, "traffic: promote, abc 100 %"],
    ],
    "accuracy": {role: {"established": SHARE, "drifted": SHARE} for role in ("base", "production", "candidate")},
    "quiet_windows": [{"alarm": False, "value": 0.1234}],
    "drift": {"value": 0.5, "threshold": 0.18, "seconds_to_retrain": 2.44},
    "adapter": {"train_seconds": 134.6, "tokens_per_second": 203.7},
    "gates": [
        {"name": "exact_match_better", "bound": 0.2681},
        {"name": "exact_match_established_no_worse", "bound": -0.041},
        {"name": "latency_p95_no_worse", "bound": 0.957},
    ],
    "corrections": {"sent": 198, "wrong": 16},
    "requests": {"sent": 762, "answered": 762, "logged": 761},
    "stages": {"total": 966.0},
    "peak_memory_mb": 6197,
}
SEEDS = [
    {"what": f"seed {seed}: {what}", "ours": ours}
    for seed, (known, new) in enumerate([(0.9, 0.81), (0.8, 0.703)])
    for what, ours in (("exact match on new commands", new), ("exact match on known commands", known), ("rows of the dataset", 900))
]
SEEDS.append({"what": "exact match on new commands, worst of 2 seeds", "ours": 0.703})


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_replaces_every_figure_and_nothing_else(figures: ModuleType) -> None:
    made = figures.blocks(SUMMARY, SEEDS)
    written = figures.replaced(README, made)
    outside = re.compile(r"(<!-- figures: \w+ -->\n).*?(\n<!-- end -->)", re.S)
    assert outside.sub("", written) == outside.sub("", README)
    assert " 6:40  drift report: QUIET, novelty_mean 0.1\n 9:20  drift report: ALARM" in written
    assert "users say" not in written
    assert "| known commands (n = 200) | 0.50 (0.40 to 0.60) |" in written
    assert "| gain over production, 95 % lower bounds: all; known commands | +0.268; -0.041 |" in written
    assert "| requests sent / answered / logged | 762 / 762 / 761 |" in written
    assert "16.1 minutes; 6.2 GB" in written
    assert "| other sentences, 2 seeds: new commands; known | 0.70, 0.81; 0.80, 0.90 |" in written


def test_a_file_without_seeds_gives_no_figures(figures: ModuleType) -> None:
    with pytest.raises(KeyError, match="exact match of each seed"):
        figures.blocks(SUMMARY, SEEDS[-1:])


def test_the_readme_has_the_figures_a_run_gives_in_the_same_words(figures: ModuleType) -> None:
    for name, text in figures.blocks(SUMMARY, SEEDS).items():
        there = re.search(rf"<!-- figures: {name} -->\n(.*?)\n<!-- end -->", README, re.S)
        assert there
        if name != "timeline":
            rows = [[re.sub(r"n = \d+|\d seeds", "n", line.split("|")[1]) for line in block.splitlines()] for block in (there[1], text)]
            assert rows[0] == rows[1]


def test_a_readme_without_a_place_for_them_is_refused(figures: ModuleType) -> None:
    with pytest.raises(ValueError, match="no place for the figures 'run'"):
        figures.replaced(README.replace("figures: run", "numbers: run"), figures.blocks(SUMMARY, SEEDS))
