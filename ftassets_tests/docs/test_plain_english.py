"""What a person reads is free of the words that have to be translated, but for the places on the list that still wait."""

from collections import defaultdict

import pytest

from ftassets_tests import ROOT
from ftassets_tests.docs import plain_english
from ftassets_tests.docs.plain_english import Hit, found, hits, to_sweep


@pytest.fixture(scope="module")
def by_place() -> dict[str, list[Hit]]:
    places: dict[str, list[Hit]] = defaultdict(list)
    for hit in hits():
        places[hit.place].append(hit)
    return places


def test_no_hit_outside_the_list(by_place: dict[str, list[Hit]]) -> None:
    new = [str(hit) for place, found in by_place.items() if place not in to_sweep() for hit in found]
    assert not new, "rewrite these sentences:\n" + "\n".join(new)


def test_the_list_names_only_places_that_have_hits(by_place: dict[str, list[Hit]]) -> None:
    swept = to_sweep() - by_place.keys()
    assert not swept, f"swept: remove them from {plain_english.TO_SWEEP.name}, or run python -m ftassets_tests.docs.plain_english --write"


def test_no_page_that_people_write_is_on_the_list() -> None:
    """Pages made by `make docs` get their sentences from the code."""
    pages = [place for place in to_sweep() if place.endswith(".md")]
    assert not [page for page in pages if "`make docs` writes this page" not in " ".join((ROOT / page).read_text().split())]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It lies beside the file.", ["lies", "beside"]),
        ("Nobody has looked at it.", ["Nobody", "looked at"]),
        ("a URL that is none", ["is none"]),
        ("the value is no number", ["is no number"]),
        ("It says so when its traffic does not grow any more.", ["says so", "traffic does not grow any more"]),
        ("the slowest is a sure bound", ["sure bound"]),
        ("`largest` is None where there is none", ["is none"]),
        ("replies, besides, relies and outlooks", []),
        ("it is no longer there", []),
    ],
)
def test_words_are_found_as_words(text: str, words: list[str]) -> None:
    assert [hit.word for hit in found("here", "1", text)] == words
