"""Splits: their shares, what stays together, and what stays where it was."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.dataset.curation import curate, splits_of
from ftassets.domain.dataset.curation.connected import Components
from ftassets.domain.dataset.curation.split import split
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.curation.text import request_digest
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import INTENTS, LOOP, at_angles, config, pool, request, row, spread


def places(given_: Pool, **dataset: object) -> dict[str, str]:
    result = split(given_, config(**dataset)).result
    return {given_.rows[i].id: name for name, members in result.items() for i in members}


def test_splits_follow_their_shares() -> None:
    result = split(pool([row(i) for i in range(200)], vectors=spread(200)), LOOP).result
    assert {name: len(members) for name, members in result.items()} == {"train": 160, "validation": 20, "test": 20}


def test_rows_keep_their_split_when_the_set_grows() -> None:
    first = places(pool([row(i) for i in range(100)]))
    second = places(pool([row(i) for i in range(300)], previous=first))
    assert first.items() <= second.items()
    assert sum(name == "test" for name in second.values()) == 30


def test_a_split_that_is_full_already_gets_nothing_new() -> None:
    previous = {f"r{i:04}": "test" for i in range(50)}
    assert [name for i, name in sorted(places(pool([row(i) for i in range(100)], previous=previous)).items())][50:].count("test") == 0


def in_pairs(splits: Mapping[str, Sequence[Example]]) -> Iterator[tuple[str, Example]]:
    return ((name, member) for name, members in splits.items() for member in members)


def curated_places(rows: list[Example], before: dict[str, list[Example]] | None = None) -> dict[str, str]:
    curated = curate(rows, None, [], None, splits_of(in_pairs(before or {})), config(min_chars=1))
    return {request_digest(r).hex(): name for name, members in curated.splits.items() for r in members}


def with_one_more_field(rows: list[Example]) -> list[Example]:
    changed = [{**json.loads(r.completion), "room": n % 9} for n, r in enumerate(rows)]
    return [
        r.model_copy(update={"completion": json.dumps(answer), "id": f"other{n}", "source": ("seed", "label")[n % 2], "at": float(n)})
        for n, (r, answer) in enumerate(zip(rows, changed, strict=True))
    ]


@pytest.mark.parametrize("again", [True, False], ids=["on top of the last dataset", "from nothing"])
def test_a_row_keeps_its_split_when_its_answer_and_its_source_change(again: bool) -> None:
    rows = [row(n, INTENTS[n % 3]) for n in range(200)]
    first = curate(rows, None, [], None, {}, config(min_chars=1))
    was = curated_places(rows)
    now = curated_places(with_one_more_field(rows), first.splits if again else None)
    assert len(now) == 200
    assert now == was


def test_a_row_that_stands_for_a_near_copy_stays_where_that_was() -> None:
    """The seed's wording is kept at first; then people label another wording of the same request, which ranks higher."""
    seed = [row(n, prompt=f"{request(n)} in the kitchen now") for n in range(100)]
    before = curate(seed, None, [], None, {}, config(min_chars=1)).splits
    was = {r.id: name for name, members in before.items() for r in members}
    labels = [row(n + 500, prompt=f"{request(n)} in the kitchen please", at=9.0) for n in range(100)]
    after = curate([*seed, *labels], None, [], None, splits_of(in_pairs(before)), config(min_chars=1, jaccard=0.5))
    assert after.rows == 100
    now = {f"r{int(r.id[1:]) - 500:04}": name for name, members in after.splits.items() for r in members}
    assert now == was


def test_rows_of_one_group_stay_together() -> None:
    rows = [row(i, group=f"g{i % 7}" if i < 70 else None) for i in range(100)]
    found = places(pool(rows))
    for g in range(7):
        assert len({found[f"r{i:04}"] for i in range(g, 70, 7)}) == 1


def test_near_requests_stay_together_unless_the_step_is_left_out() -> None:
    rows = [row(i, ("On", "Off")[i % 2], prompt=f"turn all of the kitchen lights on number {i}") for i in range(30)]
    outcome = split(pool(rows), LOOP)
    assert outcome.counts["rows of the largest group"] == 30
    assert outcome.counts["more than half of the rows are linked into one group"] == 30
    outcome = split(pool(rows), config(skip=["near"]))
    assert outcome.counts == {"groups": 30, "rows of the largest group": 1}


def test_alike_vectors_stay_together() -> None:
    found = places(pool([row(i) for i in range(4)], vectors=at_angles(0, 15, 90, 105)), split=[0.5, 0.25, 0.25])
    assert found["r0000"] == found["r0001"]
    assert found["r0002"] == found["r0003"]
    assert found["r0000"] != found["r0002"]


def test_a_new_row_between_two_splits_does_not_move_training_rows_into_the_test() -> None:
    vectors = at_angles(-15, 15, 0)  # cosine 0.966 to the row between them, 0.866 to each other
    for previous in ({"r0000": "test", "r0001": "train"}, {"r0000": "train", "r0001": "test"}, {"r0000": "test", "r0001": "validation"}):
        found = places(pool([row(0), row(1), row(2)], vectors=vectors, previous=previous))
        assert set(found.values()) == {"train" if "train" in previous.values() else "validation"}


def test_the_order_of_arrival_does_not_matter() -> None:
    rows = [row(i, prompt=f"play song {i % 40} of album {i // 2} please") for i in range(300)]
    first = places(pool(rows))
    random.Random(0).shuffle(rows)
    assert places(pool(rows)) == first


def test_no_rows_no_groups() -> None:
    assert split(pool([]), LOOP).result == {"train": [], "validation": [], "test": []}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=60), st.integers(1, 7))
def test_components_are_what_edges_reach(edges: list[tuple[int, int]], part: int) -> None:
    components = Components(20)
    reached = [{i} for i in range(20)]
    for start in range(0, len(edges), part):
        some = edges[start : start + part]
        components.unite([a for a, _ in some], [b for _, b in some])
        for a, b in some:
            union = reached[a] | reached[b]
            for i in union:
                reached[i] = union
    labels = components.labels()
    everyone = np.arange(20)
    for i in range(20):
        assert set(np.flatnonzero(labels == labels[i]).tolist()) == reached[i]
        assert set(np.flatnonzero(~components.apart(np.full(20, i), everyone)).tolist()) == reached[i]
