import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import Task
from ftassets.domain.dataset.curation.conflicts import Answer, Conflict, drop_conflicts
from ftassets.domain.dataset.curation.pipeline import conflicts, curate
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.curation.text import RANKS
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import LOOP, call, config, pool, row

ASKED = "turn the heating up in the attic"
TEXTS = LOOP.model_copy(update={"task": Task.model_validate({"type": "text", "system_prompt": "s"})})


def said(number: int, intent: str, source: str, user: str | None = None, at: float | None = None, prompt: str = ASKED) -> Example:
    return row(number, intent, prompt=prompt, source=source, user=user, at=at)


def kept(rows: list[Example], **fields: Any) -> list[str]:
    """Ids of the rows that are left."""
    dropped = drop_conflicts(pool(rows, **fields), LOOP).dropped
    return [row.id for i, row in enumerate(rows) if i not in dropped]


@pytest.mark.parametrize("place", range(len(RANKS) - 1))
def test_an_answer_of_a_higher_source_counts_whatever_its_age(place: int) -> None:
    rows = [said(0, "On", RANKS[place], "a", 1.0), said(1, "Off", RANKS[place + 1], "b", 9.0)]
    outcome = drop_conflicts(pool(rows), LOOP)
    assert outcome.dropped == {1: f"conflict: r0000 ({RANKS[place]}) answers this request differently and ranks above {RANKS[place + 1]}"}
    assert outcome.result == [Conflict("source", (Answer(RANKS[place], 1, ("r0000",)), Answer(RANKS[place + 1], 1, ("r0001",))))]
    assert kept(rows[::-1]) == ["r0000"]


def test_ten_who_agree_outweigh_one_who_came_later_and_it_is_a_conflict() -> None:
    rows = [said(n, "On", "correction", f"user{n}", float(n)) for n in range(10)] + [said(10, "Off", "correction", "late", 99.0)]
    outcome = drop_conflicts(pool(rows), LOOP)
    assert outcome.dropped[10] == "conflict: 10 answer this request as r0009 does, 1 as this row"
    [conflict] = outcome.result
    assert (conflict.decided_by, [(answer.voices, len(answer.rows)) for answer in conflict.answers]) == ("voices", [(10, 10), (1, 1)])
    assert (outcome.counts, kept(rows)) == ({"conflicts": 1}, ["r0009"])


def test_of_as_many_voices_the_newest_counts_and_it_is_a_conflict() -> None:
    rows = [said(0, "On", "correction", "a", 1.0), said(1, "Off", "correction", "b", 2.0)]
    outcome = drop_conflicts(pool(rows), LOOP)
    assert outcome.dropped == {0: "conflict: r0001 answers this request differently and is newer"}
    assert [conflict.decided_by for conflict in outcome.result] == ["time"]


def test_where_nothing_decides_no_row_is_kept() -> None:
    rows = [said(0, "On", "seed"), said(1, "Off", "seed"), said(2, "On", "seed", prompt="another request")]
    outcome = drop_conflicts(pool(rows), LOOP)
    assert outcome.dropped.keys() == {0, 1}
    assert outcome.dropped[0] == ("conflict: r0001 answers this request differently, and neither source, number of people nor time decides")
    assert [conflict.decided_by for conflict in outcome.result] == ["nothing"]
    assert kept([*rows, said(3, "On", "seed")]) == ["r0000", "r0002"], "two lines against one"


def test_a_user_who_changed_their_mind_is_no_conflict_and_has_one_voice() -> None:
    revised = [said(0, "On", "correction", "a", 1.0), said(1, "Off", "correction", "a", 2.0)]
    outcome = drop_conflicts(pool(revised), LOOP)
    assert (outcome.dropped, outcome.result) == ({0: "the same user gave the answer of r0001 later"}, [])
    at_once = [said(0, "On", "correction", "a", 1.0), said(1, "Off", "correction", "a", 1.0), said(2, "Up", "correction", "a", 0.5)]
    outcome = drop_conflicts(pool(at_once), LOOP)
    assert outcome.dropped[2] == "the same user gave the answer of r0000 later"
    assert [conflict.decided_by for conflict in outcome.result] == ["nothing"], "of two answers of one time neither came later"
    flood = [said(n, "On", "correction", "a", float(n)) for n in range(5)]
    assert kept([*flood, said(8, "Off", "correction", "b", 1.0), said(9, "Off", "correction", "c", 1.5)]) == ["r0009"]


def test_copies_that_were_dropped_before_have_a_voice_unless_their_user_is_a_poisoner() -> None:
    rows = [said(n, "On", "correction", f"user{n}", float(n)) for n in range(3)] + [said(3, "Off", "correction", "late", 9.0)]
    copies = pool(rows)
    copies.index, copies.dropped = [2, 3], {0: "exact", 1: "near"}
    assert drop_conflicts(copies, LOOP).dropped.keys() == {3}
    copies.dropped = {0: "exact", 1: "near", 4: "poisoning", 5: "poisoning"}
    copies.rows += [said(4, "Off", "correction", "user0", prompt="p"), said(5, "Off", "correction", "user1", prompt="q")]
    assert drop_conflicts(copies, LOOP).dropped.keys() == {2}, "one voice each is left, and the newest counts"


def test_one_row_is_left_of_each_request() -> None:
    rows = [said(0, "On", "seed"), said(1, "On", "thumbs_up", "a", 9.0), said(2, "On", "correction", "b", 3.0)]
    assert drop_conflicts(pool(rows), LOOP).dropped == {1: "same request as r0000", 2: "same request as r0000"}
    assert not drop_conflicts(pool(rows), config(skip=["exact"])).dropped


def test_texts_that_differ_may_both_be_good_but_a_correction_contradicts() -> None:
    def text(number: int, answer: str, source: str, **fields: Any) -> Example:
        return row(number, prompt=ASKED, source=source, **fields).model_copy(update={"completion": answer})

    praise = [text(n, f"{n} {'abc'[n] * 30}", "thumbs_up", user=f"u{n}", at=float(n)) for n in range(3)]
    outcome = drop_conflicts(pool(praise), TEXTS)
    assert (set(outcome.dropped.values()), outcome.result) == ({"same request as r0002"}, [])
    seeds = [text(n, f"{'abc'[n] * 30}", "seed") for n in range(2)]
    outcome = drop_conflicts(pool(seeds), TEXTS)
    assert (outcome.dropped, outcome.result) == ({1: "same request as r0000"}, [])
    corrected = [seeds[0], text(5, "quite another answer than that", "correction", user="u", at=1.0), praise[2]]
    outcome = drop_conflicts(pool(corrected), TEXTS)
    assert outcome.dropped.keys() == {0, 2}
    assert [conflict.decided_by for conflict in outcome.result] == ["source"]


def test_the_dataset_lists_its_conflicts() -> None:
    rows = [said(0, "On", "seed"), said(1, "Off", "correction", "u", 1.0), *(row(n, prompt=f"request number {n}") for n in range(5, 9))]
    curated = curate(rows, None, [], None, {}, config(min_rows=1, skip=["near"]))
    assert [answer.rows for conflict in curated.conflicts for answer in conflict.answers] == [("r0001",), ("r0000",)]
    assert [item.where for item in curated.dropped] == ["conflicts:r0000"]
    assert conflicts(rows, LOOP) == curated.conflicts


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["On", "Off", "Timer"]),
        st.sampled_from(RANKS),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from([1.0, 2.0, 3.0, None]),
        st.sampled_from([ASKED, ASKED.upper(), "another request"]),
    ),
    max_size=10,
)


@given(rows=ROWS, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_arrival_decides_nothing_and_each_request_has_one_answer(rows: list[Any], shuffle: random.Random) -> None:
    made = [said(number, *fields[:4], prompt=fields[4]) for number, fields in enumerate(rows)]
    left = kept(made)
    other = list(made)
    shuffle.shuffle(other)
    assert sorted(kept(other)) == sorted(left)
    requests = [row.prompt.lower() for row in made if row.id in left]
    assert len(requests) == len(set(requests))
    outcome = drop_conflicts(pool(made), LOOP)
    for conflict in outcome.result:
        sources = [RANKS.index(answer.source) for answer in conflict.answers]
        assert sources == sorted(sources)
        winner = {row.completion for row in made if row.id in conflict.answers[0].rows}
        rest = {row.completion for row in made for answer in conflict.answers[1:] if row.id in answer.rows}
        assert len(winner) == 1
        assert not winner & rest
        taught = {row.completion for row in made if row.id in left and row.id in {r for a in conflict.answers for r in a.rows}}
        assert taught == (set() if conflict.decided_by == "nothing" else winner)


def test_an_answer_in_other_spelling_is_the_same() -> None:
    rows = [said(0, "On", "seed"), said(1, "On", "correction", "u", 1.0).model_copy(update={"completion": '{ "intent":  "On" }'})]
    assert call("On") != rows[1].completion
    assert drop_conflicts(pool(rows), LOOP).result == []


@pytest.mark.parametrize("task", ["tool_call", "text", "classification"])
def test_an_escape_that_is_half_of_a_pair_stops_no_comparison(task: str) -> None:
    loop = LOOP.model_copy(update={"task": Task.model_validate({"type": task, "system_prompt": "s"})})
    rows = [row(n, prompt=ASKED, user=f"u{n}", at=float(n), source="correction") for n in range(2)]
    rows = [rows[0].model_copy(update={"completion": '{"a": "\\ud83d"}'}), rows[1].model_copy(update={"completion": '{"a": "\\ud83e"}'})]
    assert [conflict.decided_by for conflict in drop_conflicts(pool(rows), loop).result] == ["time"]


def against_seed(user: str, number: int = 14) -> list[Example]:
    """Rows of the seed, and a correction of each by one user."""
    asked = [f"{ASKED}, number {n}" for n in range(number)]
    seed = [said(n, "On", "seed", prompt=text) for n, text in enumerate(asked)]
    return seed + [said(100 + n, "Off", "correction", user, float(n), text) for n, text in enumerate(asked)]


@pytest.mark.parametrize("loop", [LOOP, TEXTS], ids=["tool_call", "text"])
def test_one_voice_alone_replaces_no_more_of_the_seed_than_on_a_topic_of_its_own(loop):
    rows = against_seed("mallory")
    outcome = drop_conflicts(pool(rows), loop)
    assert {rows[i].id for i in outcome.dropped if i < 14} == {f"r{n:04}" for n in range(4, 14)}, "the ten newest corrections"
    assert outcome.dropped[14] == "conflict: r0000 answers this request differently, and no second voice or label says what this row says"
    assert sorted(each.decided_by for each in outcome.result) == ["doubt"] * 4 + ["source"] * 10
    assert outcome.counts == {"conflicts": 14, "corrections of one voice against too much of the seed": 4}


def test_a_second_voice_or_a_label_settles_what_one_voice_could_not():
    second = [
        said(200, "Off", "correction", "second", 1.0, f"{ASKED}, number 0"),
        said(201, "Off", "label", "ann", 1.0, f"{ASKED}, number 1"),
    ]
    outcome = drop_conflicts(pool([*against_seed("mallory"), *second]), LOOP)
    assert {0, 1} <= outcome.dropped.keys()
    assert outcome.counts["corrections of one voice against too much of the seed"] == 2
    everybody = [said(300 + n, "Off", "correction", f"u{n}", 1.0, f"{ASKED}, number {n}") for n in range(14)]
    assert not drop_conflicts(pool([*against_seed("mallory"), *everybody]), LOOP).dropped.keys() - set(range(14)) - set(range(14, 42))
    assert all(each.decided_by == "source" for each in drop_conflicts(pool([*against_seed("mallory"), *everybody]), LOOP).result)


def test_a_correction_that_its_neighbours_contradict_is_listed_beside_the_seed_row_it_corrects():
    rows = [said(0, "On", "seed"), said(1, "Off", "correction", "a", 1.0)]
    outcome = drop_conflicts(Pool(rows, [0], dropped={1: "label_disagreement"}), LOOP)
    assert outcome.result == [Conflict("doubt", (Answer("seed", 1, ("r0000",)), Answer("correction", 1, ("r0001",))))]
    assert not outcome.dropped.keys() & {0}
    poisoner = Pool(rows, [0], dropped={1: "label_disagreement", 2: "poisoning"})
    poisoner.rows.append(said(2, "Off", "correction", "a", 1.0, prompt="other"))
    assert drop_conflicts(poisoner, LOOP).result == []


def test_two_annotators_who_agree_outweigh_a_newer_label_of_one():
    both = [Example(**said(0, "On", "label", user, 1.0).model_dump() | {"id": "label:a", "request_id": "a"}) for user in ("ann", "bob")]
    rows = [*both, said(2, "Off", "label", "eve", 9.0)]
    curated = curate(rows, None, [], None, {}, config(min_rows=1))
    assert [row.completion for members in curated.splits.values() for row in members] == [call("On")]
    assert curated.conflicts == [Conflict("voices", (Answer("label", 2, ("label:a", "label:a")), Answer("label", 1, ("r0002",))))]
    counts = {step.name: step.counts for step in curated.funnel}
    assert counts["exact"] == {"labels that a second annotator gave too": 1}
    doubled = curate(rows[:2], None, [], None, {}, config(min_rows=1, skip=["exact"]))
    assert doubled.rows == 1, "a request's labels have one id"
