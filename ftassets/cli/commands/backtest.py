"""What another loop file would have decided on what is stored of a loop, side by side with what was decided."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ftassets.assets._shared.dataset_files import reference_path, unpack_arrays
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report, read_report, report_digests
from ftassets.backends.control.base import Control
from ftassets.backends.control.reviews import ReviewDamaged, read_review
from ftassets.backends.control.rollout_looks import candidates, read_looks
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.backtest import LIMITS, Backtested, Unknown, drift_verdict, promoted, rate_of, retrain_decision, rollout_move, totals
from ftassets.domain.drift.alarms import WindowVerdict
from ftassets.domain.drift.comparison import ALARMS, DriftVerdict, concentration_threshold, novelty_thresholds
from ftassets.domain.drift.novelty import NOVELTY
from ftassets.domain.drift.reference import Reference, calibrated_for
from ftassets.domain.gates.decision import GateDecision, of_then
from ftassets.domain.gates.result import Verdict
from ftassets.domain.retrain import Action, Situation
from ftassets.domain.spending.overview import Spending
from ftassets.domain.traffic.retention import DAY
from ftassets.errors import in_one_line

PASSED, NOT_PASSED = "all gates pass", "not all gates pass"


def backtest(
    artifacts: Artifacts, control: Control, store: DatasetStore, own: LoopConfig, policy: LoopConfig, since: float = 0.0
) -> list[Backtested]:
    """Every stored decision of the loop `own` after `since` (epoch seconds), as a policy would have made it, oldest first.

    What is damaged is unknown. Raises OSError.
    """
    drift, verdicts, whole = _drift(artifacts, store, own, policy)
    rows = [
        *drift,
        *_retrains(artifacts, own, policy, verdicts, whole),
        *_gates(artifacts, control, own, policy),
        *_rollouts(control, own, policy),
    ]
    return sorted((row for row in rows if row.at >= since), key=lambda row: row.at)


def money(rows: Sequence[Backtested], spent: Spending | None) -> dict[str, Any]:
    """What retrains cost that were decided, and those of them that the policy would have started too; days from alarm to retrain.

    By the policy the number and the cost are None as soon as one decision is unknown.
    """
    retrains = [row for row in rows if row.kind == "retrain"]
    was, now = ([row for row in retrains if side(row) == Action.RETRAIN.value] for side in (_was, _now))
    costs = [(row, _cost(row, spent)) for row in was]
    unknown = sum(row.now is None for row in retrains)
    also = [cost for row, cost in costs if _now(row) == Action.RETRAIN.value]
    return {
        "retrains": {"was": len(was), "now": None if unknown else len(now), "unknown": unknown},
        "usd": {"was": _sum([cost for _, cost in costs]), "now": _sum(also) if not unknown and len(also) == len(now) else None},
        "days_from_first_alarm_to_first_retrain": {"was": _days(rows, _was), "now": _days(rows, _now)},
    }


def document(own: str, policy: str, rows: Sequence[Backtested], found: Mapping[str, Any]) -> dict[str, Any]:
    """All of it as plain JSON."""
    return {"loop": own, "policy": policy, "kinds": totals(rows), **found, "decisions": [vars(row) for row in rows], "limits": list(LIMITS)}


def table(rows: Sequence[Backtested]) -> list[tuple[str, str, str, str, str]]:
    """A line for each decision that differs or is unknown."""
    return [
        (f"{datetime.fromtimestamp(row.at, UTC):%F %H:%M}", row.kind, row.about, row.was, row.now or f"unknown: {row.why}")
        for row in rows
        if not row.same
    ]


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Retrains, dollars and days, and the limits."""

    def said(values: Mapping[str, Any], unit: str) -> str:
        was, now = (f"{values[side]:.4g}{unit}" if values[side] is not None else "unknown" for side in ("was", "now"))
        return f"decided {was}, by the policy {now}"

    lines = [f"retrains: {said(found['retrains'], '')}, {found['retrains']['unknown']} unknown", f"cost: {said(found['usd'], ' USD')}"]
    lines.append(f"first alarm to first retrain: {said(found['days_from_first_alarm_to_first_retrain'], ' days')}")
    return [*lines, *LIMITS]


def _drift(
    artifacts: Artifacts, store: DatasetStore, own: LoopConfig, policy: LoopConfig
) -> tuple[list[Backtested], list[tuple[float, str | None, WindowVerdict | None, bool]], bool]:
    """The drift reports, and their verdicts: end of the window, version, verdict (None: unknown), whether it is the stored one.

    At last whether all could be read: when another one was made is not known.
    """
    rows, length, whole = list[Backtested](), own.retrain_on.drift.window, True
    verdicts: list[tuple[float, str | None, WindowVerdict | None, bool]] = []

    rate = rate_of(policy)

    @lru_cache(maxsize=4)
    def reference(commit: str, version: str) -> Reference:  # calibrated once for all of its reports
        return calibrated_for(Reference.from_arrays(unpack_arrays(store.read(commit, reference_path(own.name, version)))), rate)

    for digest in report_digests(artifacts, own.name, "drift"):
        try:
            report = read_report(artifacts, own.name, "drift", digest)
            at, version, was = float(report["window_end"]), report["production"], DriftVerdict(report["verdict"])
        except (ReportDamaged, KeyError, ValueError, TypeError) as error:
            rows.append(Backtested("drift", time.time(), digest[:12], "unreadable", None, in_one_line(error)))
            whole = False
            continue
        try:
            now = drift_verdict(report, own, policy, _thresholds(report, reference, rate))
            rows.append(Backtested("drift", at, f"report {digest[:12]}", was.value, now.value))
            verdicts.append((at, version, WindowVerdict(at - length, at, now), now is was))
        except (Unknown, ValueError, KeyError) as error:
            rows.append(Backtested("drift", at, f"report {digest[:12]}", was.value, None, in_one_line(error)))
            verdicts.append((at, version, None, False))
    return rows, sorted(verdicts, key=lambda each: each[0], reverse=True), whole


def _thresholds(report: Mapping[str, Any], reference: Any, rate: float) -> dict[str, float] | None:
    """Thresholds at the policy's rate; None if the reference is not there, or not needed."""
    commit, version = report["reference_commit"], report["production"]
    if not report["statistics"] or report["false_alarm_rate"] == rate or not commit:
        return None
    try:
        known = reference(commit, version)
    except (DatasetError, KeyError, ValueError):
        return None
    n = report["window_queries"]
    novelty = dict(zip(NOVELTY, novelty_thresholds(known, n, rate), strict=True))
    return {name: novelty[name] if name in novelty else concentration_threshold(known, n, rate) for name in ALARMS}


def _retrains(artifacts: Artifacts, own: LoopConfig, policy: LoopConfig, verdicts: Sequence[Any], whole: bool) -> Iterator[Backtested]:
    for digest in report_digests(artifacts, own.name, "decision"):
        about = f"decision {digest[:12]}"
        try:
            stored = read_report(artifacts, own.name, "decision", digest)
            situation, said = Situation(**stored["situation"]), stored["decision"]
        except (ReportDamaged, KeyError, TypeError, ValueError) as error:
            yield Backtested("retrain", time.time(), about, "unreadable", None, in_one_line(error))
            continue
        before = [each for each in verdicts if (situation.last_retrain_at or 0.0) <= each[0] <= situation.now]
        version = before[0][1] if before else None
        mine = [each for each in before if each[1] == version]
        windows = None if all(each[3] for each in mine) else [each[2] for each in mine]
        if (not mine or not whole) and own.retrain_on.drift != policy.retrain_on.drift:
            windows = [*(windows or ()), None]  # a report of then is gone or cannot be read: the alarms that were stored are the loop's own
        was = f"{said['action']}: {said['reason']}"
        try:
            now = retrain_decision(situation, own, policy, windows)
            yield Backtested("retrain", situation.now, about, was, f"{now.action}: {now.reason}")
        except Unknown as error:
            yield Backtested("retrain", situation.now, about, was, None, str(error))


def _gates(artifacts: Artifacts, control: Control, own: LoopConfig, policy: LoopConfig) -> Iterator[Backtested]:
    for digest in report_digests(artifacts, own.name, "gates"):
        try:
            decision = GateDecision.parse(read_report(artifacts, own.name, "gates", digest))
        except (ReportDamaged, ValueError) as error:
            yield Backtested("gates", time.time(), digest[:12], "unreadable", None, in_one_line(error))
            continue
        was = PASSED if decision.results and all(each.verdict is Verdict.PASS for each in decision.results) else NOT_PASSED
        try:
            report = read_eval_report(artifacts, own.name, decision.report)
            review = of_then(read_review(control, own.name, decision.report), decision.reviews)
            now = PASSED if promoted(policy.gates, report, review) else NOT_PASSED
            yield Backtested("gates", decision.at, f"version {report.candidate[:12]}", was, now)
        except (Unknown, ReportDamaged, ReviewDamaged, ValueError) as error:
            yield Backtested("gates", decision.at, f"report {decision.report[:12]}", was, None, in_one_line(error))


def _rollouts(control: Control, own: LoopConfig, policy: LoopConfig) -> Iterator[Backtested]:
    for candidate in candidates(control, own.name):
        for look in read_looks(control, own.name, candidate):
            if look.basis is None:
                continue
            was = f"{look.move} {look.next_weight} %"
            try:
                yield Backtested("rollout", look.at, f"version {candidate[:12]}", was, rollout_move(look, policy.rollout))
            except ValueError as error:
                yield Backtested("rollout", look.at, f"version {candidate[:12]}", was, None, in_one_line(error))


def _was(row: Backtested) -> str | None:
    return row.was.partition(":")[0]


def _now(row: Backtested) -> str | None:
    return row.now and row.now.partition(":")[0]


def _cost(row: Backtested, spent: Spending | None) -> float | None:
    """US dollars of the run that a decision started: the first cycle after it; None if it is not known."""
    after = sorted((each for each in spent.cycles if each.at >= row.at), key=lambda each: each.at) if spent else []
    return after[0].cost.usd if after and after[0].at - row.at < DAY else None


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _days(rows: Sequence[Backtested], side: Any) -> float | None:
    """Days from the first alarm to the first retrain after it; None without one, or if an unknown decision may have been it."""
    alarm = _first(rows, "drift", 0.0, side, DriftVerdict.ALARM.value)
    retrain = None if alarm is None else _first(rows, "retrain", alarm, side, Action.RETRAIN.value)
    return None if alarm is None or retrain is None else (retrain - alarm) / DAY


def _first(rows: Sequence[Backtested], kind: str, since: float, side: Any, wanted: str) -> float | None:
    """When the first row says what is wanted; None if none does, or one before it is unknown."""
    row = next((row for row in rows if row.kind == kind and row.at >= since and side(row) in (wanted, None)), None)
    return None if row is None or side(row) is None else row.at
