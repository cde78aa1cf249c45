"""`ftassets backtest` on a year of a loop: a drift report each hour, a retrain decision a day, a release and its rollout each week.

The other policy has a smaller budget of false alarms, other gates and other guardrails, so that every decision is made again. What is
stored is made up; the embedder's vectors are random.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml

from bench.rows import Row, Size, parse, parser, run, write
from ftassets.assets._shared.dataset_files import pack_arrays, reference_path
from ftassets.backends.artifacts.reports import store_eval_report, store_report
from ftassets.backends.control.rollout_looks import record_look
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, control
from ftassets.domain.backtest import rate_of
from ftassets.domain.drift.accumulation import Evidence, WindowEvidence
from ftassets.domain.drift.comparison import ALARMS, Statistic, verdict_of
from ftassets.domain.drift.reference import build_reference
from ftassets.domain.evaluation.answer_form import ToolCall
from ftassets.domain.evaluation.scoring import score
from ftassets.domain.gates.decision import GateDecision
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.retrain import Policy, Situation, should_retrain
from ftassets.domain.rollout.canary import CanaryAnswers, CanaryEvidence, Move, RolloutDecision
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.look import rollout_look
from ftassets.testing.local_stores import local_stores
from ftassets.testing.releases import loop_config

LOOP, DIMENSIONS, KNOWN, SCORED = "support", 384, 5000, 500
HOUR, WINDOWS = 3600.0, 60  # seconds; windows that a drift report has evidence of
GOAL = 30.0  # CPU-seconds
SIZES = {"days": Size(60, 365, "days of stored decisions")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("backtest", measure(parse(parser("backtest", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """One home, one command."""
    with tempfile.TemporaryDirectory() as folder:
        home, loops = Home(Path(folder) / "home"), Path(folder) / "loops"
        own = loop_config(LOOP, retrain_on={"drift": {"window": "1h", "every": "0 * * * *", "max_false_alarms": "12/quarter"}})
        begin = time.time() - options.days * 86400
        _drift(home, own, begin, options.days * 24)
        _retrains(home, own, begin, options.days)
        for week in range(max(1, options.days // 7)):
            _release(home, own, begin + week * 7 * 86400, week)
        changed = own.model_dump(mode="json", exclude_unset=True)
        _write(loops / LOOP / "defs.yaml", changed)
        changed["retrain_on"]["drift"]["max_false_alarms"] = "1/quarter"
        changed["gates"] = [{"metric": "exact_match", "no_worse_than": "production", "margin": 0.02}]
        _write(other := Path(folder) / "other.yaml", changed)
        done = run("backtest", other, "--loop", LOOP, FTASSETS_HOME=str(home.root), FTASSETS_LOOPS=str(loops))
    for kind, counts in done.said["kinds"].items():
        yield Row(f"{kind}: decisions; {counts['unknown']} unknown, {counts['differ']} differ", counts["decisions"], "decisions")
    yield Row(f"backtest of {options.days} days", done.cpu, "CPU-seconds", f"<= {GOAL:g}", done.cpu <= GOAL)
    yield Row(f"backtest of {options.days} days", done.seconds, "s")


def _write(path: Path, attributes: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in ("seed.jsonl", "golden.jsonl"):
        (path.parent / name).touch()
    path.write_text(yaml.safe_dump({"type": "ftassets.components.FineTuneLoop", "attributes": attributes}))


def _drift(home: Home, own: LoopConfig, begin: float, hours: int) -> None:
    """A report each hour, compared with one reference."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(KNOWN, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reference, (_, store) = build_reference(vectors, "random", rate=rate_of(own)), local_stores(home, time.time)
    files = {reference_path(LOOP, "v1"): pack_arrays(**reference.to_arrays())}
    commit = store.publish("reference", files, "reference", {"loop": LOOP}).commit
    for hour in range(hours):
        end = begin + (hour + 1) * HOUR
        statistics = [Statistic(name, float(rng.uniform(0, 0.6)), 0.5, 0.01) for name in ALARMS]
        verdict, reason = verdict_of(statistics)
        windows = [WindowEvidence(end - (place + 1) * HOUR, end - place * HOUR, 500, float(rng.normal())) for place in range(WINDOWS)]
        document = {
            "verdict": verdict.value, "reason": reason, "statistics": [asdict(each) for each in statistics],
            "accumulated": {**dict(zip(("evidence", "over_windows"), asdict(Evidence(1.0, 0)).values(), strict=False)),
                            "windows": [asdict(each) for each in windows], "spread": None},
            "window_end": end, "production": "v1", "reference_commit": commit, "window_queries": 300 + hour % 200,
            "false_alarm_rate": rate_of(own),
        }  # fmt: skip
        store_report(artifacts(home), LOOP, "drift", document)


def _retrains(home: Home, own: LoopConfig, begin: float, days: int) -> None:
    policy = Policy(name=LOOP, mode=own.mode, retrain_on=own.retrain_on)
    for day in range(days):
        situation = Situation(
            now=begin + (day + 1) * 86400, alarms=day % 4, novelty_share=0.2, new_labels=day, schedule_due_at=None, quality=None,
            quality_baseline=None, last_retrain_at=begin + day // 30 * 30 * 86400, retrains_in_quarter=1, died=0, retrain_running=False,
            rollout_running=False, paused=None, seconds_per_row=0.1, expected_rows=500, untried_labels=day, labels_per_day=10.0,
            labels_expire=30 * 86400.0, unusable_labels="", failed=0, failed_at=None, over_budget=None,
        )  # fmt: skip
        decision = should_retrain(situation, policy)
        document = {"situation": asdict(situation), "policy": policy.model_dump(mode="json"), "decision": asdict(decision)}
        store_report(artifacts(home), LOOP, "decision", document)


def _release(home: Home, own: LoopConfig, at: float, week: int) -> None:
    """An eval report, the verdicts on it, and a rollout by all steps."""
    version, right, wrong = f"{week:064x}", json.dumps({"intent": "on"}), json.dumps({"intent": "off"})
    scores = {
        role: [score(f"g{n}", "established", right, right if n % 10 < of_ten else wrong, ToolCall()) for n in range(SCORED)]
        for role, of_ten in {"candidate": 9, "production": 8, "base": 0}.items()
    }
    report = EvalReport(
        loop=LOOP, run_id=f"run-{week}", candidate=version, production="v1", production_is_base=False, base="base", dataset_commit="1",
        golden_commit="1", policy_digest="1", generation={}, scores=scores, latency_ms={}, answers={},
    )  # fmt: skip
    digest = store_eval_report(artifacts(home), report)
    results = tuple(evaluate_gates(own.gates, report))
    decision = GateDecision(loop=LOOP, report=digest, at=at, reviews=0, policy={"gates": []}, results=results)
    store_report(artifacts(home), LOOP, "gates", decision.document())
    for number, (weight, following) in enumerate(itertools.pairwise(own.rollout.steps)):
        state = EndpointState(production="v1", candidate=version, weight=weight, since=at + number * HOUR)
        seen = CanaryEvidence(answers=[CanaryAnswers(candidate, weight, False, 5000) for candidate in (True, False)])
        moved = RolloutDecision(Move.RAMP if following < 100 else Move.PROMOTE, following, "no guardrail is broken")
        record_look(control(home), LOOP, rollout_look(state, seen, own.rollout, at + (number + 1) * HOUR, moved))


if __name__ == "__main__":
    sys.exit(main())
