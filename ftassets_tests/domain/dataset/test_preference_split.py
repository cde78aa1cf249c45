"""Preferences that are held out were learned from by no training."""

from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question
from ftassets.domain.dataset.preference_split import split_preferences
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import config

NOTHING: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}


def loop() -> LoopConfig:
    return config()


def pair(prompt: str, name: str | None = None) -> Pair:
    known = {"request_id": name or prompt, "user": "u", "at": 1.0, "version": "v", "weight": 5.0}
    return Pair(messages=question(prompt), chosen='{"intent": "on"}', rejected='{"intent": "off"}', source="correction", **known)


def row(prompt: str, name: str | None = None) -> Example:
    return Example(id=name or f"row {prompt}", messages=question(prompt), completion='{"intent": "on"}')


def requests(rows: list[Pair]) -> list[str]:
    return [each.prompt for each in rows]


def test_pairs_follow_the_rows_of_their_requests() -> None:
    asked = ["turn on the lamp in the kitchen", "close all the blinds upstairs now", "play some jazz on the big speaker"]
    splits = {name: [row(prompt)] for name, prompt in zip(("train", "validation", "test"), asked, strict=True)}
    split = split_preferences([pair(prompt) for prompt in asked], splits, 0.5, loop())
    assert requests(split.train) == asked[:1]
    assert requests(split.held_out) == asked[1:2]
    assert split.left_out == {"near a row of the test split, which decides promotions": 1}


def test_a_near_copy_follows_the_row_it_is_near_to() -> None:
    splits = {**NOTHING, "train": [row("turn on the lamp in the kitchen please")], "validation": [row("what is the weather in Oslo today")]}
    near = [pair("turn on the lamp in the kitchen, please"), pair("what's the weather in Oslo today")]
    split = split_preferences(near, splits, 0.5, loop())
    assert (requests(split.train), requests(split.held_out)) == ([near[0].prompt], [near[1].prompt])


def test_a_pair_of_the_same_request_as_a_row_follows_it_though_the_row_was_scrubbed() -> None:
    splits = {**NOTHING, "validation": [row("mail [EMAIL] that I am late", "request-1")]}
    split = split_preferences([pair("mail ann at example dot com that I am late", "request-1")], splits, 0.01, loop())
    assert len(split.held_out) == 1


def test_of_requests_that_no_row_has_about_the_share_is_held_out_and_stays_so() -> None:
    words = ["lamp", "door", "music", "alarm", "heating", "blinds", "garage", "kettle", "window", "shower"]
    prompts = [f"{one} {other} number {place * 7919}" for place, (one, other) in enumerate((a, b) for a in words for b in words)]
    first = split_preferences([pair(prompt) for prompt in prompts[:60]], NOTHING, 0.3, loop())
    assert 8 <= len(first.held_out) <= 30
    later = split_preferences([pair(prompt) for prompt in prompts], NOTHING, 0.3, loop())
    assert not set(requests(first.train)) & set(requests(later.held_out)), "what was trained on is not held out later"
    assert len(later.train) + len(later.held_out) == 100


def test_copies_of_one_request_never_part() -> None:
    copies = [pair(f"set a timer for ten minutes in the kitchen{'!' * number}", f"r{number}") for number in range(6)]
    split = split_preferences(copies, NOTHING, 0.5, loop())
    assert 0 in (len(split.train), len(split.held_out))


def test_no_preferences_are_no_split() -> None:
    split = split_preferences([], {**NOTHING, "train": [row("lamp on")]}, 0.1, loop())
    assert (split.train, split.held_out, split.left_out) == ([], [], {})
