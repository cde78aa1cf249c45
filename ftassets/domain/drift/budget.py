"""From "at most N false retrains a quarter" to the false-alarm rate of one report."""

import math

# Of overspending the budget by chance alone. Below 5 %, since a reference is a sample: thresholds taken from it are off by a little,
# for as long as it is in use.
RISK = 0.02
WINDOWS_PART = 0.5  # of the budget is for alarms of single windows, the rest for evidence that adds up over windows
LEAST_EVIDENCE = 20.0  # an alarm needs that much, however large the budget


def reports_until(alarm: float, consecutive: int = 1) -> float:
    """Expected number of reports until `consecutive` alarms in a row, when each report alarms with probability `alarm`.

    Sum of alarm^-i for i = 1..consecutive: the mean recurrence time of success runs (Feller, An Introduction to Probability
    Theory and Its Applications I, XIII.7). Assumes that reports are independent, which holds for disjoint windows whose mix
    does not wander slowly.
    """
    return math.inf if alarm <= 0 else sum(alarm**-i for i in range(1, consecutive + 1))


def false_alarms_expected(false_alarms: int, risk: float = RISK) -> float:
    """Expected number of false retrains at which more than `false_alarms` have probability `risk`, when they come as a Poisson process."""
    from scipy.special import gammaincinv

    return float(gammaincinv(false_alarms + 1, risk))


def evidence_limit(false_alarms: int, reports: float, risk: float = RISK) -> float:
    """Accumulated evidence (`accumulation.evidence`) that raises an alarm, at the part of the budget that `WINDOWS_PART` leaves.

    From any of T reports it is reached without drift with probability at most T / limit, which is also the expected number of times.
    """
    return max(reports / ((1 - WINDOWS_PART) * false_alarms_expected(false_alarms, risk)), LEAST_EVIDENCE)


def alarm_rate(
    false_alarms: int, reports: float, risk: float = RISK, consecutive: int = 1, largest: float = 0.05, part: float = 1.0
) -> float:
    """False-alarm rate of one report at which more than `false_alarms` false retrains in `reports` reports have probability `risk`.

    A false retrain is a run of `consecutive` alarms; after it, counting starts anew. Runs come as a renewal process, taken as
    Poisson: P(X > k; lam) = risk where lam = gammaincinv(k + 1, risk), and one run in `reports / lam` reports on average
    (`reports_until`). Assumes independent reports, as of windows that follow each other without overlap. `part` of the expected runs
    is used. Never above `largest`.
    """
    from scipy.optimize import brentq

    spacing = max(reports, 1.0) / (part * false_alarms_expected(false_alarms, risk))
    if reports_until(largest, consecutive) < spacing:
        return float(brentq(lambda alarm: 1 - spacing / reports_until(alarm, consecutive), 1e-12, largest, xtol=1e-15))
    return largest
