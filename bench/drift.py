"""Drift alarms on CLINC150: false alarms, power, CPU and memory, next to fixed rules and (with --peers) Evidently.

Two thirds of the intents of every domain are known to production, the others are new but near: all of them, three or one of them.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.rows import CACHE, Row, Size, data, environment, installed, parse, parser, write
from ftassets.domain.drift import Reference, alarm_rate, build_reference, novelty_thresholds, power
from ftassets.domain.drift.accumulation import STATISTIC, Spread, WindowEvidence, evidence, spread, standard_score
from ftassets.domain.drift.budget import WINDOWS_PART, evidence_limit
from ftassets.domain.drift.comparison import concentration_threshold
from ftassets.domain.drift.concentration import concentration, nearest_similarities
from ftassets.domain.drift.mix import centroid_distance
from ftassets.domain.drift.novelty import NOVELTY, novelty_scores, window_novelty
from ftassets.domain.drift.occupancy import assign, fit_centres, psi
from ftassets.domain.drift.sensitivity import found_over_windows
from ftassets.testing.hash_embedder import HashEmbedder

EVIDENTLY = CACHE / "evidently"
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # threads that wait for each other count as CPU
SIZES = {
    "rows": Size(1_000_000, 1_000_000, "vectors of the largest reference"),
    "splits": Size(3, 10, "choices of known intents"),
    "windows": Size(400, 1000, "windows of each kind and choice"),
    "peer_windows": Size(8, 24, "windows of each kind that Evidently gets"),
    "quarters": Size(500, 500, "simulated quarters"),
}
PER_INTENT, REFERENCE, RATE = 80, 5000, 0.01
SAMPLES = (100, 200, 500)
HARMLESS = ("same mix", "mix Dirichlet(5)", "mix Dirichlet(1)", "one domain x3")
HARMLESS_LIMIT = 0.02
ALL_NEW, THREE_NEW, ONE_NEW = "new intents", "of three new intents", "of one new intent"
GOALS = {
    (f"25 % {ALL_NEW}", 200): 0.95, (f"10 % {ALL_NEW}", 500): 0.75, (f"25 % {THREE_NEW}", 200): 0.95, (f"10 % {THREE_NEW}", 500): 0.75,
    (f"25 % {ONE_NEW}", 200): 0.95, (f"10 % {ONE_NEW}", 500): 0.9, (f"5 % {ONE_NEW}", 500): 0.6,
}  # fmt: skip
OTHER_EMBEDDER = {(f"10 % {ONE_NEW}", 500): 0.6, (f"25 % {ALL_NEW}", 500): 0.95}  # of trigrams, which know no meaning
FORETOLD = ((10, 200), (5, 500), (10, 500))  # per cent of new queries, queries of a window
DAYS, DAILY, BANK = 10, 500, 100  # windows a day of so many queries; windows drawn of each kind of day
PEER_CELLS = ("same mix", "mix Dirichlet(1)", "25 % new intents")
WEEKS, VOLUMES = 13, (300, 300, 300, 300, 300, 120, 100)  # queries a day, Monday to Sunday

PEER = """
import json, sys, time
import numpy as np, pandas as pd
from evidently.legacy.metrics.data_drift import embedding_drift_methods as methods
arrays = np.load(sys.argv[1])
reference = arrays["reference"]
found = {}
for key in arrays.files:
    if key == "reference":
        continue
    method, cell = key.split("/")
    found[key] = []
    for window in arrays[key]:
        frames = pd.DataFrame(window), pd.DataFrame(reference)
        started = time.process_time()
        _, alarm, _ = getattr(methods, method)()(*frames)
        found[key].append([bool(alarm), time.process_time() - started])
print(json.dumps(found))
"""

REPORT = """
import json, statistics, sys, time
import numpy as np
from ftassets.domain.drift import Reference, compare, novelty_statistics
from ftassets.domain.drift.mmd import fourier_features, mmd
from ftassets.domain.drift.novelty import nearest_distances
from ftassets.domain.drift.occupancy import assign, psi
arrays = dict(np.load(sys.argv[1]))
window = arrays.pop("window")
reference = Reference.from_arrays(arrays)
def alarm():
    novelty_statistics(reference, nearest_distances(window, reference.vectors), assign(window, reference.centres), 0.01)
def features():
    return mmd(fourier_features(window, reference.bandwidth, reference.seed).mean(axis=0), reference.feature_mean)
def occupancy():
    return psi(np.bincount(assign(window, reference.centres), minlength=len(reference.centres)), reference.occupancy)
def seconds(work):
    work()
    times = []
    for _ in range(15):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)
print(json.dumps([seconds(work) for work in (lambda: compare(reference, window, 0.01, 100), alarm, features, occupancy)]))
"""

REBUILD = """
import json, sys, time
import numpy as np
from bench.rows import peak_memory
from ftassets.domain.drift import build_reference
rng, rows = np.random.default_rng(0), int(sys.argv[1])
vectors = np.empty((rows, 384), dtype=np.float32)
for start in range(0, rows, 10_000):
    part = vectors[start : start + 10_000]
    rng.standard_normal(out=part, dtype=np.float32)
    part /= np.linalg.norm(part, axis=1, keepdims=True)
seconds = []
for part in (vectors[: rows // 2], vectors):
    started = time.process_time()
    build_reference(part, "bench")
    seconds.append(time.process_time() - started)
print(json.dumps([peak_memory(), *seconds]))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("drift", __doc__)
    made.add_argument("--peers", action="store_true", help="install Evidently in an environment of its own under .bench/")
    return write("drift", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """All rows. Raises CannotMeasure before the first one if CLINC150 is missing."""
    queries, domains = data("clinc150/data_full.json"), data("clinc150/domains.json")
    if options.peers:
        installed(EVIDENTLY, _install_evidently)
    yield from memory(options.rows)
    vectors, intents, domain_of, others = embedded(queries, domains)
    made = [split(vectors, intents, domain_of, seed) for seed in range(options.splits)]
    peer = evidently(made[0], options.peer_windows)
    yield from cpu(made[0], peer)
    yield from alarms(made, options.windows, peer)
    yield from foretold(made, options.windows)
    yield from over_days(made, options.windows // 2)
    yield from quarters(made, options.quarters)
    yield from another_embedder([split(others, intents, domain_of, seed) for seed in range(options.splits)], options.windows)


def _install_evidently(folder: Path) -> None:
    venv.create(folder, with_pip=True)
    subprocess.check_call([folder / "bin" / "pip", "install", "-q", "evidently==0.7.23", "pandas<3"])


def memory(rows: int) -> Iterator[Row]:
    """A reference of many vectors: resident memory, and time against half as many."""
    output = subprocess.check_output([sys.executable, "-c", REBUILD, str(rows)], text=True, env=environment())
    peak, half, whole = json.loads(output)
    what, alone = f"reference of {rows:,} x 384 vectors", rows * 384 * 4 / 2**20
    yield Row(what, peak, "MiB RSS", "< 2000", peak < 2000, alone, "the vectors alone")
    yield Row(f"{what}: CPU", whole, "CPU-s", "at most 2.2 times the peer", whole <= 2.2 * half, half, "half of the vectors")


@dataclass(frozen=True)
class Split:
    """One choice of known intents: the reference, and per query its intent, domain, novelty scores and cluster of 20.

    `similar` are each query's nearest similarities to the reference, `groups` its cluster there, `usual` the reference's counts in those
    20 clusters; `held` and `new` are the rows of held-out and of new intents' queries.
    """

    reference: Reference
    vectors: np.ndarray
    intents: np.ndarray
    domains: np.ndarray
    held: np.ndarray
    new: np.ndarray
    scores: np.ndarray
    similar: np.ndarray
    groups: np.ndarray
    spread: Spread
    clusters: np.ndarray
    usual: np.ndarray

    def window(self, cell: str, n: int, rng: np.random.Generator) -> np.ndarray:
        """Rows of one window: held-out queries of known intents, in some cells mixed otherwise or with new ones."""
        weights = np.ones(len(np.unique(self.intents)))
        if cell.startswith("mix"):
            weights = rng.dirichlet(np.full(len(weights), 5.0 if "(5)" in cell else 1.0))
        elif cell == "one domain x3":
            weights = np.where(self.domains == rng.integers(self.domains.max() + 1), 3.0, 1.0)[::PER_INTENT]
        p = weights[self.intents[self.held]]
        rows = rng.choice(self.held, n, replace=cell != "same mix", p=p / p.sum())
        if "new" in cell:
            rows = np.where(rng.random(n) < float(cell.split()[0]) / 100, rng.choice(self.topic(cell, rng), n), rows)
        return rows

    def topic(self, cell: str, rng: np.random.Generator) -> np.ndarray:
        """Rows of all new intents, or of the one or three that the cell asks for."""
        count = {THREE_NEW: 3, ONE_NEW: 1}.get(cell.split(" % ")[1])
        return (
            self.new if count is None else self.new[np.isin(self.intents[self.new], rng.choice(np.unique(self.intents[self.new]), count))]
        )

    def values(self, rows: np.ndarray) -> np.ndarray:
        """The statistics of a window of rows (n,) that raise alarms."""
        return np.append(
            window_novelty(self.reference.usual, self.scores[rows], self.groups[rows]),
            concentration(self.vectors[rows], self.similar[rows], self.groups[rows], self.reference.occupancy).value,
        )

    def limits(self, n: int, rate: float) -> np.ndarray:
        """Their thresholds."""
        return np.append(novelty_thresholds(self.reference, n, rate), concentration_threshold(self.reference, n, rate))

    def alarm(self, rows: np.ndarray, rate: float) -> bool:
        """Whether a window of rows (n,) raises the alarm."""
        return bool((self.values(rows) > self.limits(len(rows), rate)).any())

    def added(self, values: np.ndarray, n: int) -> WindowEvidence:
        """What a window of n queries with these values adds to the accumulated evidence."""
        p_value = self.reference.nulls[STATISTIC].p_value(n, float(values[list(NOVELTY).index(STATISTIC)]))
        return WindowEvidence(0.0, 0.0, n, standard_score(p_value))


def embedded(queries: Path, domain_file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (12000, 384), intent, domain, and vectors of another embedder of the first `PER_INTENT` training queries of each intent.

    Embedded once.
    """
    by_intent: dict[str, list[str]] = {}
    for text, intent in json.loads(queries.read_text())["train"]:
        by_intent.setdefault(intent, []).append(text)
    names = sorted(by_intent)
    texts = [text for name in names for text in by_intent[name][:PER_INTENT]]
    domain_of = {intent: number for number, of in enumerate(json.loads(domain_file.read_text()).values()) for intent in of}
    intents = np.repeat(np.arange(len(names)), PER_INTENT)
    domains = np.array([domain_of[name] for name in names])[intents]

    from ftassets.backends.embedder.minilm import MiniLmEmbedder

    embedder = MiniLmEmbedder()
    digest = hashlib.sha256("\n".join([embedder.id, *texts]).encode()).hexdigest()[:16]
    file = CACHE / f"clinc150-{digest}.npy"
    if not file.exists():
        CACHE.mkdir(exist_ok=True)
        np.save(file, embedder.embed(texts))
    return np.load(file), intents, domains, HashEmbedder(256).embed(texts)


def split(vectors: np.ndarray, intents: np.ndarray, domains: np.ndarray, seed: int) -> Split:
    """Ten intents of each domain are known: 5,000 of their queries are the reference, the other 3,000 held out."""
    rng = np.random.default_rng(seed)
    known = np.concatenate([rng.choice(np.unique(intents[domains == d]), 10, replace=False) for d in np.unique(domains)])
    rows = rng.permutation(np.flatnonzero(np.isin(intents, known)))
    finest = alarm_rate(1, 7 * WEEKS, part=WINDOWS_PART)
    reference = build_reference(vectors[rows[:REFERENCE]], "bench", seed=seed, rate=finest)
    centres = fit_centres(reference.vectors, 20, seed)
    clusters = assign(vectors, centres)
    usual = np.bincount(clusters[rows[:REFERENCE]], minlength=20)
    new = np.flatnonzero(~np.isin(intents, known))
    similar = nearest_similarities(vectors, reference.vectors)
    groups = assign(vectors, reference.centres)
    scores = novelty_scores(reference.usual, 1 - similar[:, 0], groups)
    lasting = spread(reference)
    return Split(reference, vectors, intents, domains, rows[REFERENCE:], new, scores, similar, groups, lasting, clusters, usual)


def alarms(splits: list[Split], windows: int, peer: dict[str, list[tuple[bool, float]]]) -> Iterator[Row]:
    """Share of windows that alarm on harmless windows and on new intents, ours next to each fixed rule's and Evidently's."""
    rng = np.random.default_rng(1)
    for cell in (*HARMLESS, *dict.fromkeys(cell for cell, _ in GOALS)):
        for n in SAMPLES:
            limit = HARMLESS_LIMIT if cell in HARMLESS else GOALS.get((cell, n))
            if limit is None:
                continue
            ours, by_psi, by_centroid = [], [], []
            for one in splits:
                for _ in range(windows):
                    rows = one.window(cell, n, rng)
                    ours.append(one.alarm(rows, RATE))
                    by_psi.append(psi(np.bincount(one.clusters[rows], minlength=20), one.usual) > 0.2)
                    by_centroid.append(centroid_distance(one.vectors[rows].mean(axis=0), one.reference.mean) > 0.15)
            rate = float(np.mean(ours))
            goal, holds = (f"<= {limit}", rate <= limit) if cell in HARMLESS else (f">= {limit}", rate >= limit)
            others = {"PSI > 0.2, 20 clusters": np.mean(by_psi), "centroid cosine > 0.15": np.mean(by_centroid)}
            for key, found in peer.items():
                method, of = key.split("/")
                if (of, n) == (cell, 200):
                    others[f"evidently {method}"] = np.mean([alarm for alarm, _ in found])
            for name, other in others.items():
                yield Row(f"alarms: {cell}, n = {n}", rate, f"share of {len(ours)} windows", goal, holds, float(other), name)


def foretold(splits: list[Split], windows: int) -> Iterator[Row]:
    """The power that a reference foretells of itself, and the power measured on intents it has never seen: all, three or one of them."""
    rng = np.random.default_rng(2)
    for share, n in FORETOLD:
        told = float(np.mean([power(one.reference, n, RATE, share / 100, draws=500).probability for one in splits]))
        for kind in (ALL_NEW, THREE_NEW, ONE_NEW):
            cell = f"{share} % {kind}"
            measured = float(np.mean([one.alarm(one.window(cell, n, rng), RATE) for one in splits for _ in range(windows)]))
            goal, holds = (None, None) if kind != ALL_NEW else ("0.15 below to 0.05 above the peer", -0.15 <= told - measured <= 0.05)
            what = f"power foretold from the reference alone, {share} % new, n = {n}"
            yield Row(what, told, "probability", goal, holds, measured, f"measured, {kind}")


def over_days(splits: list[Split], runs: int) -> Iterator[Row]:
    """Ten days of 5 % new queries: how often an alarm of the budget is raised, by a window or by what adds up."""
    rng, rate = np.random.default_rng(5), RATE * WINDOWS_PART
    limit = 1 / (RATE * (1 - WINDOWS_PART))
    told = float(np.mean([found_over_windows(one.reference, DAILY, limit, 0.05, DAYS) for one in splits]))
    for kind in (ALL_NEW, THREE_NEW, ONE_NEW):
        by_window, by_days = [], []
        for one in splits:
            for _ in range(runs):
                topic, windows = one.topic(f"5 % {kind}", rng), list[WindowEvidence]()
                alarm = added_up = False
                for _ in range(DAYS):
                    rows = np.where(rng.random(DAILY) < 0.05, rng.choice(topic, DAILY), rng.choice(one.held, DAILY, replace=False))
                    values = one.values(rows)
                    windows.append(one.added(values, DAILY))
                    alarm |= bool((values > one.limits(DAILY, rate)).any())
                    added_up |= evidence(windows, one.spread).value > limit
                by_window.append(alarm)
                by_days.append(added_up)
        found, unit = float(np.mean(np.array(by_window) | np.array(by_days))), f"share of {len(by_days)} runs"
        what = f"found in {DAYS} days of {DAILY} queries, 5 % {kind}, false alarms {RATE:.0%} of reports"
        yield Row(what, found, unit, ">= 0.8", found >= 0.8, float(np.mean(by_days)), "accumulated evidence alone")
        if kind == ALL_NEW:
            what = f"found in {DAYS} days by accumulated evidence alone, 5 % {kind}, foretold from the reference alone"
            apart, goal = told - float(np.mean(by_days)), "0.2 below to 0.1 above the peer"
            yield Row(what, told, "probability", goal, -0.2 <= apart <= 0.1, float(np.mean(by_days)), "measured")


def another_embedder(splits: list[Split], windows: int) -> Iterator[Row]:
    """The same alarms on vectors of hashed trigrams."""
    rng = np.random.default_rng(6)
    for cell, n in (*((cell, 200) for cell in HARMLESS), *OTHER_EMBEDDER):
        rate = float(np.mean([one.alarm(one.window(cell, n, rng), RATE) for one in splits for _ in range(windows)]))
        limit = OTHER_EMBEDDER.get((cell, n), HARMLESS_LIMIT)
        goal, holds = (f"<= {limit}", rate <= limit) if cell in HARMLESS else (f">= {limit}", rate >= limit)
        yield Row(f"alarms, hashed trigrams: {cell}, n = {n}", rate, f"share of {len(splits) * windows} windows", goal, holds)


def quarters(splits: list[Split], count: int) -> Iterator[Row]:
    """Quarters of daily reports in two weekday patterns and one lasting change of the mix, nothing new: how many keep the budget.

    A retrain is so many alarms in a row, of windows or of accumulated evidence. Days are drawn from `BANK` windows of each weekday.
    """
    limit = evidence_limit(1, 7 * WEEKS)
    for pattern in ("a busy domain each day", "other domains at weekends", "another mix all quarter"):
        rng = np.random.default_rng(3)
        for consecutive in (1, 2):
            rate = alarm_rate(1, 7 * WEEKS, consecutive=consecutive, part=WINDOWS_PART)
            within, by_days = [], []
            for part, one in zip(np.array_split(np.arange(count), len(splits)), splits, strict=True):
                lasting = 10 if pattern.startswith("another") else 1  # mixes that last; a quarter has one of them
                banks = [bank(one, pattern, rate, rng) for _ in range(lasting)]
                for quarter in range(len(part)):
                    retrains, by_evidence = retrains_of(one, banks[quarter % lasting], consecutive, limit, rng)
                    within.append(retrains <= 1)
                    by_days.append(by_evidence)
            share = float(np.mean(within))
            what = f"quarters with at most 1 false retrain: {pattern}, {consecutive} alarms in a row, rate {rate:.4f}"
            peer = float(np.mean(by_days))
            yield Row(what, share, f"share of {count} quarters", ">= 0.95", share >= 0.95, peer, "quarters with accumulated evidence")


def bank(one: Split, pattern: str, rate: float, rng: np.random.Generator) -> list[list[tuple[bool, WindowEvidence]]]:
    """Of each weekday, whether its windows alarm and what they add."""
    lasting = rng.dirichlet(np.full(int(one.intents.max()) + 1, 5.0))
    made = []
    for weekday, volume in enumerate(VOLUMES):
        p = lasting[one.intents[one.held]] if pattern.startswith("another") else weekday_mix(pattern, weekday)[one.domains[one.held]]
        limits, days = one.limits(volume, rate), []
        for _ in range(BANK):
            values = one.values(rng.choice(one.held, volume, p=p / p.sum()))
            days.append((bool((values > limits).any()), one.added(values, volume)))
        made.append(days)
    return made


def retrains_of(
    one: Split, days: list[list[tuple[bool, WindowEvidence]]], consecutive: int, limit: float, rng: np.random.Generator
) -> tuple[int, bool]:
    """False retrains of one quarter, and whether accumulated evidence raised an alarm. A retrain makes a new reference: it starts anew."""
    retrains, in_a_row, ever, windows = 0, 0, False, list[WindowEvidence]()
    for day in range(7 * WEEKS):
        alarm, added = days[day % 7][rng.integers(BANK)]
        windows.append(added)
        added_up = evidence(windows, one.spread).value > limit
        ever |= added_up
        in_a_row = in_a_row + 1 if alarm or added_up else 0
        if in_a_row == consecutive:
            retrains, in_a_row, windows = retrains + 1, 0, []
    return retrains, ever


def weekday_mix(pattern: str, weekday: int) -> np.ndarray:
    """Weights (10,) of the domains, in the order of the data set: banking, credit cards, kitchen, home, ..., work, small talk, meta."""
    weights, domains = np.ones(10), np.arange(10)
    if pattern.startswith("a busy"):
        weights[domains % 7 == weekday] = 2.0
        return weights * np.where((weekday > 4) & (domains < 3), 0.4, 1.0)
    if weekday > 4:
        weights[[0, 1, 7]], weights[[2, 3, 8]] = 0.4, 1.5
    elif weekday == 0:
        weights[[0, 1, 7]] = 1.5
    return weights


def cpu(one: Split, peer: dict[str, list[tuple[bool, float]]]) -> Iterator[Row]:
    """CPU of 500 queries against 5,000, without embedding: a whole report, and statistics of the same kind; one thread each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        np.savez(file, **one.reference.to_arrays(), window=one.vectors[one.held[:500]])  # type: ignore[arg-type]
        output = subprocess.check_output([sys.executable, "-c", REPORT, file], text=True, env=environment(**ONE_THREAD))
    whole, alarm, features, occupancy = json.loads(output)
    yield Row("one report, 500 against 5,000 queries", whole, "CPU-s", "<= 0.1", whole <= 0.1)
    for what, ours, method, times in (
        ("the alarm alone (novelty)", alarm, "model", 3),
        ("one report, all statistics", whole, "model", 1.5),
        ("one report, all statistics", whole, "mmd", 10),
        ("one report, all statistics", whole, "ratio", 5),
        ("MMD alone", features, "mmd", 30),
        ("PSI by cluster alone, as a test of the mix", occupancy, "ratio", 30),
    ):
        if found := peer.get(f"{method}/cpu"):
            theirs = statistics.median(seconds for _, seconds in found)
            goal, name = f"{times:g} times less than the peer", f"evidently {method}"
            yield Row(f"{what}, 500 against 5,000 queries", ours, "CPU-s", goal, times * ours <= theirs, theirs, name)


def evidently(one: Split, windows: int) -> dict[str, list[tuple[bool, float]]]:
    """Alarm and CPU seconds of its methods at their defaults, by "method/cell"; empty where its environment is missing."""
    if not (EVIDENTLY / ".installed").exists():
        print("no figures of Evidently: run with --peers once to install it under .bench/", file=sys.stderr)
        return {}
    rng = np.random.default_rng(4)
    arrays = {"reference": one.reference.vectors}
    for method, number in (("model", windows), ("distance", windows), ("ratio", windows // 2), ("mmd", windows // 2)):
        for cell in PEER_CELLS:
            arrays[f"{method}/{cell}"] = np.stack([one.vectors[one.window(cell, 200, rng)] for _ in range(number)])
        arrays[f"{method}/cpu"] = np.stack([one.vectors[one.held[:500]]] * 3)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        np.savez(file, **arrays)  # type: ignore[arg-type]
        command = [str(EVIDENTLY / "bin" / "python"), "-W", "ignore", "-c", PEER, str(file)]
        output = subprocess.check_output(command, text=True, env=environment(**ONE_THREAD))
    return json.loads(output.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
