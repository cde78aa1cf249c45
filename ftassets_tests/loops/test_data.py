"""The hand-written rows shipped with the loops: well-formed, balanced, and nothing shared between seed and golden set."""

import json
import re
from collections import Counter
from importlib.resources import files
from itertools import combinations, product

import pytest

from ftassets.domain.dataset.rows import Example, parse_jsonl

QUEUES = {"account", "billing", "shipping", "bug", "feature_request", "security", "cancellation"}
PRIORITIES = {"low", "normal", "high"}
TOO_ALIKE = 0.6


def _rows(name: str) -> list[Example]:
    text = files("ftassets").joinpath("loops", "support_triage", name).read_text(encoding="utf-8")
    rows, bad = parse_jsonl(text, name)
    assert bad == []
    return rows


@pytest.fixture(scope="module")
def seed() -> list[Example]:
    return _rows("seed.jsonl")


@pytest.fixture(scope="module")
def golden() -> list[Example]:
    return _rows("golden.jsonl")


def _tokens(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def test_sizes_and_unique_ids(seed: list[Example], golden: list[Example]) -> None:
    assert len(seed) >= 200
    assert len(golden) == 60
    ids = Counter(row.id for row in seed + golden)
    assert [name for name, count in ids.items() if count > 1] == []


def test_every_answer_is_compact_json_of_a_known_queue_and_priority(seed: list[Example], golden: list[Example]) -> None:
    for row in seed + golden:
        answer = json.loads(row.completion)
        assert list(answer) == ["queue", "priority"], row.id
        assert answer["queue"] in QUEUES, row.id
        assert answer["priority"] in PRIORITIES, row.id
        # One spelling: an exact match compares text, and the model learns what it is shown.
        assert row.completion == json.dumps(answer), row.id


def test_seed_is_balanced(seed: list[Example]) -> None:
    answers = [json.loads(row.completion) for row in seed]
    queues = Counter(answer["queue"] for answer in answers)
    assert set(queues) == QUEUES
    assert min(queues.values()) >= 15
    # Each queue shows each priority, or the queue alone would give the priority away.
    assert {(answer["queue"], answer["priority"]) for answer in answers} == set(product(QUEUES, PRIORITIES))


def test_golden_slices_cover_every_queue(golden: list[Example]) -> None:
    assert Counter(row.slice for row in golden) == {"clear": 40, "hard": 20}
    for name in ("clear", "hard"):
        assert {json.loads(row.completion)["queue"] for row in golden if row.slice == name} == QUEUES


def test_no_prompt_is_in_both_files(seed: list[Example], golden: list[Example]) -> None:
    assert {_tokens(row.prompt) for row in seed}.isdisjoint(_tokens(row.prompt) for row in golden)


def test_no_two_tickets_are_nearly_the_same(seed: list[Example], golden: list[Example]) -> None:
    tokens = {row.id: _tokens(row.prompt) for row in seed + golden}
    alike = [(one, other) for one, other in combinations(tokens, 2) if _jaccard(tokens[one], tokens[other]) > TOO_ALIKE]
    assert alike == []


def test_no_contact_or_card_data(seed: list[Example], golden: list[Example]) -> None:
    contact = re.compile(r"\S@\S|https?://|\b(?:\d[ -]?){9,}")
    assert [row.id for row in seed + golden if contact.search(row.prompt)] == []
