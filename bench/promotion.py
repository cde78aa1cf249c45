"""Promotion rules side by side, over simulated years: how many bad candidates each promotes, and how many good ones it misses.

A year has equal, better and worse candidates in random order. Each is compared with production on golden rows. A promotion is bad if the
candidate is not better, a good candidate is missed if it is better and not promoted. Our levels are those of the domain's error budget.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.rows import CACHE, Row, Size, environment, installed, parse, parser, write
from ftassets.config.loop import Release
from ftassets.domain.gates.error_budget import DAY, Ledger, wanted_level
from ftassets.domain.gates.gate import Gate
from ftassets.domain.mean_bounds import Floats, pair_p_values

Shares = NDArray[np.bool_]  # (years, candidates): whether each is promoted

CYCLES = {"equal": 20, "better": 15, "worse": 15}
GAIN = {"equal": 0.0, "better": 0.04, "worse": -0.02}
DIFFERING = 0.1  # share of rows that only one of the two models gets right
ROWS, FEW_ROWS = 500, 200
RATES = (10, 26, 60)  # candidates a year, for other ways to choose levels
FDR = 0.1  # of the peers that control a share of the promotions
WANTED = wanted_level([Gate(metric="exact_match", better_than="production")])
BUDGET = Release().bad_promotions_a_year or 1.0

SIZES = {"years": Size(2_000, 20_000, "simulated years of each rule"), "peer_years": Size(200, 2_000, "of each peer that chooses levels")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("promotion", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    made.add_argument("--peers", action="store_true", help="also online-fdr, which is installed at first use")
    return write("promotion", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every row."""
    rng = np.random.default_rng(options.seed)
    gains = _years(rng, options.years, CYCLES)
    ours = promoted_by_us(rng, gains)
    rules: dict[str, Shares] = {name: rule(rng, gains) for name, rule in RULES.items()}
    names = {"each at 95 %": promoted_at(rng, gains, np.full(gains.shape[1], WANTED)), **rules}
    about = ", ".join(f"{count} {kind}" for kind, count in CYCLES.items())
    for name, found in names.items():
        for what, good in (("bad promotions", False), ("promotions of a worse candidate", None)):
            mine, theirs = (np.sum(each & (gains < 0 if good is None else gains <= 0), axis=1) for each in (ours, found))
            mean = float(mine.mean())
            goal, holds = (f"<= {BUDGET:g}", mean <= BUDGET) if good is False else (None, None)
            yield Row(f"{what} a year of {about}{_spread(mine, theirs)}", mean, "promotions", goal, holds, float(theirs.mean()), name)
        mine, theirs = (np.sum(~each & (gains > 0), axis=1) for each in (ours, found))
        yield Row(
            f"missed better candidates a year of {about}{_spread(mine, theirs)}", float(mine.mean()), "candidates", None, None,
            float(theirs.mean()), name,
        )  # fmt: skip
    share = float(np.mean(ours[gains > 0]))
    yield Row(f"better candidates promoted, {GAIN['better']:g} better on {ROWS} rows", share, "share", ">= 0.6", share >= 0.6)

    equal = np.zeros((options.years, sum(CYCLES.values())))
    mine, theirs = promoted_by_us(rng, equal).sum(axis=1), promoted_at(rng, equal, np.full(equal.shape[1], WANTED)).sum(axis=1)
    mean = float(mine.mean())
    yield Row(
        f"bad promotions in a year of {equal.shape[1]} equal candidates{_spread(mine, theirs)}", mean, "promotions", f"<= {BUDGET:g}",
        mean <= BUDGET, float(theirs.mean()), "each at 95 %",
    )  # fmt: skip
    if options.peers:
        yield from other_levels(rng, options.peer_years)


def promoted_by_us(rng: np.random.Generator, gains: Floats) -> Shares:
    """The gate at the level that the error budget gives each decision, in a year that follows a year like it."""
    return promoted_at(rng, gains, levels(gains.shape[1]))


def levels(candidates: int) -> Floats:
    """Levels of so many decisions at even distances, in a loop's second year."""
    ledger, found = Ledger(decisions=()), []
    for number in range(2 * candidates):
        ledger = ledger.with_decision(BUDGET, WANTED, str(number), "", "", number * 365 * DAY / candidates)
        found.append(ledger.decisions[-1].level)
    return np.array(found[candidates:])


def promoted_at(rng: np.random.Generator, gains: Floats, level: Floats) -> Shares:
    """The gate better_than production at these levels, one a candidate."""
    found: Shares = p_values(rng, gains) < level[None, :]
    return found


def p_values(rng: np.random.Generator, gains: Floats) -> Floats:
    """P-values of "better" on fresh golden rows."""
    won, lost = _pairs(rng, gains, ROWS)
    return pair_p_values(won, lost, ROWS, 0.0)


def _best_of_three(rng: np.random.Generator, gains: Floats) -> Shares:
    tries = [np.subtract(*_pairs(rng, gains, FEW_ROWS)) for _ in range(3)]
    found: Shares = np.max(tries, axis=0) >= 0
    return found


def _gains_more_than(points: float) -> Callable[[np.random.Generator, Floats], Shares]:
    def rule(rng: np.random.Generator, gains: Floats) -> Shares:
        found: Shares = np.subtract(*_pairs(rng, gains, ROWS)) > points * ROWS
        return found

    return rule


def _above_the_noise(rng: np.random.Generator, gains: Floats) -> Shares:
    """The gain must be above the noise floor: one standard deviation of the difference, as repeated evaluations show it."""
    won, lost = _pairs(rng, gains, ROWS)
    found: Shares = won - lost > np.sqrt(won + lost)
    return found


RULES: dict[str, Callable[[np.random.Generator, Floats], Shares]] = {
    "higher wins": _gains_more_than(0.0),
    "+2 points": _gains_more_than(0.02),
    f"matches or beats production on {FEW_ROWS} rows, best of three": _best_of_three,
    "gain above a noise floor of one standard deviation": _above_the_noise,
}


def other_levels(rng: np.random.Generator, years: int) -> Iterator[Row]:
    """Levels by online control of the false discovery rate, at several rates of candidates; and a year in which most are better."""
    for candidates in RATES:
        kinds = {"equal": candidates // 2, "better": candidates - candidates // 2}
        yield from _against_fdr(rng, years, kinds, f"{candidates} candidates a year, half of them better")
    most = {"equal": 6, "better": 54}
    yield from _against_fdr(rng, years, most, "60 candidates a year, 54 of them better")


def _against_fdr(rng: np.random.Generator, years: int, kinds: dict[str, int], about: str) -> Iterator[Row]:
    gains = _years(rng, years, kinds)
    p = p_values(rng, gains)
    ours = p < levels(gains.shape[1])[None, :]
    mine = _outcomes(ours, gains)
    for name, found in online_fdr(p).items():
        theirs = _outcomes(found, gains)
        for what, each in mine.items():
            goal = f"<= {BUDGET:g}" if what != "missed" else None
            yield Row(f"{what}, {about}", each, "a year", goal, None if goal is None else each <= BUDGET, theirs[what], name)


def _outcomes(promoted: Shares, gains: Floats) -> dict[str, float]:
    bad, missed = promoted & (gains <= 0), ~promoted & (gains > 0)
    return {"bad promotions": float(bad.sum(axis=1).mean()), "missed": float(missed.sum(axis=1).mean())}


PEER = """
import json, sys
from online_fdr.p_values import LordPlusPlus, Saffron
years, fdr = json.load(sys.stdin)
made = {"LORD++": lambda: LordPlusPlus(alpha=fdr, wealth=fdr / 2), "SAFFRON": lambda: Saffron(alpha=fdr, wealth=fdr / 2, lambda_=0.5)}
found = {}
for name, make in made.items():
    found[name] = []
    for year in years:
        test = make()
        found[name].append([bool(test.test_one(p)) for p in year])
print(json.dumps(found))
"""


def online_fdr(p: Floats) -> dict[str, Shares]:
    """What LORD++ and SAFFRON of the package online-fdr promote, by name. Raises CannotMeasure."""
    folder = installed(CACHE / "peers/online-fdr", _install)
    output = subprocess.check_output(
        [sys.executable, "-c", PEER], input=json.dumps([p.tolist(), FDR]), text=True, env=environment(PYTHONPATH=str(folder))
    )
    return {f"{name}, false discovery rate {FDR:.0%}": np.array(found) for name, found in json.loads(output).items()}


def _install(folder: Path) -> None:
    # our numpy and scipy serve it as well
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "online-fdr==1.0.0"])


def _years(rng: np.random.Generator, years: int, kinds: dict[str, int]) -> Floats:
    """True gains of each candidate, (years, candidates), in random order."""
    year = np.repeat([GAIN[kind] for kind in kinds], list(kinds.values()))
    found: Floats = rng.permuted(np.tile(year, (years, 1)), axis=1)
    return found


def _pairs(rng: np.random.Generator, gains: Floats, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that only the candidate, and only production, gets right."""
    differing = rng.binomial(rows, DIFFERING, size=gains.shape)
    won = rng.binomial(differing, 0.5 + gains / (2 * DIFFERING))
    return won, differing - won


def _spread(mine: NDArray[np.int64], theirs: NDArray[np.int64]) -> str:
    """Between which numbers 95 % of the years are."""
    (low, high), (less, more) = (np.quantile(each, [0.025, 0.975]) for each in (mine, theirs))
    return f", 95 % of years {low:.0f} to {high:.0f}; peer {less:.0f} to {more:.0f}"


if __name__ == "__main__":
    sys.exit(main())
