"""The pipeline as a whole: every row is accounted for, nothing leaks between splits or from the golden set."""

import json
from collections import Counter
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ftassets.config.loop import Dataset, LoopConfig
from ftassets.domain.chat import question
from ftassets.domain.dataset.curation import SPLITS, Curated, SizeVerdict, StepReport, curate, normalised
from ftassets.domain.dataset.curation.pipeline import SKIPPABLE, STEPS, NamedStep
from ftassets.domain.dataset.rows import Example, Quarantined, parse_jsonl
from ftassets.domain.personal_data.spans import Span
from ftassets_tests.domain.dataset.curation.sample import DIMENSIONS, INTENTS, LOOP, call, config, dropped, request, row, split_of, spread

NAMES = [step.name for step in STEPS]


def grams(text: str) -> set[str]:
    return {text[start : start + 5] for start in range(len(text) - 4)}


def similarity(one: str, other: str) -> float:
    a, b = grams(normalised(one)), grams(normalised(other))
    return len(a & b) / len(a | b) if a and b else 0.0


PROMPTS = [
    "on", "On ", "off", "lights  on", "turn the lights on in the kitchen", "turn the light on in the kitchen please",
    "set a timer for five minutes", "set a timer for nine minutes", "play the second song of the album and then stop it",
    "now play the second song of the album and then stop it again", "mail me at joe@example.com", "aaaaaaaaaaaaaaaaaaaa",
    "what is the weather in the town where my sister lives", "wake me tomorrow", "a", "\u200b",
]  # fmt: skip


@st.composite
def collections(draw: st.DrawFn) -> dict[str, Any]:
    # ids repeat as they do when one line stands twice in a file
    example = st.builds(
        Example,
        id=st.integers(0, 40).map("r{}".format),
        messages=st.sampled_from(PROMPTS).map(question),
        completion=st.sampled_from([*map(call, INTENTS), "no call", "[1]"]),
        source=st.sampled_from(["seed", "label", "correction", "thumbs_up", "synthetic"]),
        group=st.none() | st.sampled_from(["g1", "g2", "g3"]),
        user=st.none() | st.sampled_from(["u1", "u2"]),
        at=st.none() | st.floats(0, 1e9),
        quality=st.none() | st.floats(0, 1),
    )
    rows, golden = draw(st.lists(example, max_size=30)), draw(st.lists(example, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    # few directions with a little noise: some pairs lie above the limit, some just below
    noise = draw(st.sampled_from([0.0, 0.05, 0.1, 0.5]))
    count = len(rows) + len(golden)
    vectors = np.eye(DIMENSIONS)[rng.integers(0, 6, count)] + noise * rng.normal(size=(count, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    given_vectors = draw(st.booleans())
    skip = draw(st.lists(st.sampled_from(SKIPPABLE), unique=True, max_size=4))
    return {
        "rows": rows,
        "vectors": vectors[: len(rows)] if given_vectors else None,
        "golden": golden,
        "golden_vectors": vectors[len(rows) :] if given_vectors else None,
        "previous": {r.id: draw(st.sampled_from(SPLITS)) for r in rows if draw(st.booleans())},
        "loop": config(
            max_rows_per_user=draw(st.integers(1, 5)), near_duplicate=draw(st.sampled_from([0.9, 0.95])),
            min_chars=draw(st.integers(1, 25)), skip=skip, pii=draw(st.sampled_from(["redact", "drop"])), 
            max_class_share=draw(st.none() | st.floats(0.1, 1)),
        ),
        "rejected": [Quarantined(f"seed:{n}", "not an object", "x") for n in range(draw(st.integers(0, 3)))],
        "tokens": draw(st.none() | st.just([draw(st.integers(1, 4000)) for _ in rows])),
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(collections())
def test_rows_in_are_rows_kept_and_dropped_at_every_step(given_: dict[str, Any]) -> None:
    curated = curate(**given_)
    rows, rejected = given_["rows"], given_["rejected"]
    assert len(rows) + len(rejected) == curated.rows + len(curated.dropped)
    lost = [d.where.split(":", 1) for d in curated.dropped]
    kept = [r.id for members in curated.splits.values() for r in members]
    assert Counter(r.id for r in rows) + Counter(q.where for q in rejected) == Counter(kept) + Counter(name for _, name in lost)
    assert (curated.funnel[0].name, curated.funnel[0].kept) == ("collected", len(rows) + len(rejected))
    assert [f.name for f in curated.funnel[1:]] == [name for name in NAMES if name not in given_["loop"].dataset.skip]
    assert all(before.kept == after.kept + after.dropped for before, after in pairwise(curated.funnel))
    assert Counter(step for step, _ in lost) == Counter({f.name: f.dropped for f in curated.funnel if f.dropped})
    assert curated.funnel[-1].kept == curated.rows == curated.preflight.rows
    assert all(d.reason for d in curated.dropped)
    assert tuple(curated.splits) == SPLITS


@settings(max_examples=60, deadline=None)
@given(collections())
def test_nothing_straddles_splits_and_no_prompt_comes_twice(given_: dict[str, Any]) -> None:
    skip = {"normalise", "pii"}  # so that rows are told apart by identity: ids may repeat
    loop = given_["loop"].model_copy(update={"dataset": given_["loop"].dataset.model_copy(update={"skip": sorted(skip)})})
    curated = curate(**{**given_, "loop": loop})
    kept = [(r, name) for name, members in curated.splits.items() for r in members]
    texts = [normalised(r.prompt) for r, _ in kept]
    assert len(set(texts)) == len(texts)
    position = {id(r): i for i, r in enumerate(given_["rows"])}
    for (a, a_split), (b, b_split) in combinations(kept, 2):
        if a_split != b_split:
            assert a.group != b.group or a.group is None
            assert a.id != b.id
            assert similarity(a.prompt, b.prompt) < loop.dataset.jaccard
            if given_["vectors"] is not None:
                assert given_["vectors"][position[id(a)]] @ given_["vectors"][position[id(b)]] < loop.dataset.near_duplicate
    for g, asked in enumerate(given_["golden"]):
        for r, _ in kept:
            assert normalised(asked.prompt) != normalised(r.prompt)
            assert asked.completion != r.completion or similarity(asked.prompt, r.prompt) < loop.dataset.jaccard
            if given_["vectors"] is not None:
                assert given_["golden_vectors"][g] @ given_["vectors"][position[id(r)]] < loop.dataset.near_duplicate


@settings(max_examples=40, deadline=None)
@given(collections(), st.randoms())
def test_the_order_of_arrival_does_not_move_rows_between_splits(given_: dict[str, Any], random: Any) -> None:
    by_id = {r.id: i for i, r in enumerate(given_["rows"])}  # one row an id, one row a prompt
    by_text = {normalised(given_["rows"][i].prompt): i for i in by_id.values()}
    order = sorted(by_text.values())
    loop = config(max_rows_per_user=50, min_chars=1)
    results = []
    for _ in range(2):
        rows = [given_["rows"][i] for i in order]
        vectors = None if given_["vectors"] is None else given_["vectors"][order]
        results.append(split_of(curate(rows, vectors, [], None, given_["previous"], loop)))
        random.shuffle(order)
    assert results[0] == results[1]


def test_nothing_in_nothing_out() -> None:
    curated = curate([], np.empty((0, DIMENSIONS)), [], np.empty((0, DIMENSIONS)), {}, LOOP)
    assert curated.splits == {name: [] for name in SPLITS}
    assert curated.dropped == []
    assert curated.preflight.verdict is SizeVerdict.REFUSED


def test_lines_that_were_no_examples_count_and_are_redacted() -> None:
    curated = curate([row(0)], None, [], None, {}, LOOP, rejected=[Quarantined("seed:7", "not an object", "{mail joe@example.com")])
    assert [(f.name, f.kept, f.dropped) for f in curated.funnel[:2]] == [("collected", 2, 0), ("schema", 1, 1)]
    assert curated.dropped == [Quarantined("schema:seed:7", "not an object", "{mail <EMAIL>")]


def test_what_is_quarantined_is_redacted_too_but_where_the_loop_leaves_personal_data_alone() -> None:
    rows = [row(0, prompt="mail joe@example.com of Mary").model_copy(update={"completion": "sure"})]

    def names(text: str) -> list[Span]:
        return [Span("PERSON", text.index("Mary"), text.index("Mary") + 4)] if "Mary" in text else []

    (line,) = curate(rows, None, [], None, {}, LOOP, names=names).dropped
    assert line == Quarantined("schema:r0000", "the answer is not a JSON object", "mail <EMAIL> of <PERSON>")
    refused = [Quarantined("seed:1", "why", '{"text": "Mary said so"}')]
    (line, _) = curate(rows, None, [], None, {}, LOOP, refused, names=names).dropped
    assert line.content == '{"text": "<PERSON> said so"}'
    (line,) = curate(rows, None, [], None, {}, config(skip=["pii"])).dropped
    assert line.content == "mail joe@example.com of Mary"


def test_the_quarantine_reads_through_escapes_and_cuts_no_number_in_two() -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "phone:\n415-555-2671\tcard\n4111 1111 1111 1111"}]})
    _, rejected = parse_jsonl("\n".join([line, line[:-1], "x" * 485 + " card: 4111 1111 1111 1111"]), "seed")
    curated = curate([row(0), row(1)], None, [], None, {}, LOOP, rejected)
    whole, broken, cut = [item.content for item in curated.dropped if item.where.startswith("schema:seed")]
    assert json.loads(whole) == {"messages": [{"role": "user", "content": "phone:\n<PHONE>\tcard\n<CARD>"}]}
    assert broken == whole[:-1]
    assert cut == "x" * 485 + " card: "


def test_a_row_whose_id_is_personal_data_has_another_one_and_its_old_one_is_known() -> None:
    rows = [row(0).model_copy(update={"id": "ann@example.com"}), row(1)]
    curated = curate(rows, None, [], None, {}, LOOP)
    (new,) = [kept.id for kept in curated.splits["train"] if kept.id != rows[1].id]
    assert curated.renamed == {new: "ann@example.com"}
    again = curate(rows, None, [], None, {new: "test"}, LOOP)
    assert [kept.id for kept in again.splits["test"]] == [new]


def test_personal_data_is_gone_from_the_rows_and_counted() -> None:
    curated = curate([row(0, prompt="please mail joe@example.com"), row(1)], None, [], None, {}, LOOP)
    assert {r.prompt for r in curated.splits["train"]} == {"please mail <EMAIL>", request(1)}
    (report,) = [f for f in curated.funnel if f.name == "pii"]
    assert (report.changed, report.dropped, report.counts) == (1, 0, {"EMAIL": 1})


def test_without_vectors_the_steps_that_need_them_say_so() -> None:
    curated = curate([row(i) for i in range(20)], None, [], None, {}, LOOP)
    skipped = {f.name: f.skipped for f in curated.funnel if f.skipped}
    assert skipped == {
        "control_tokens": "the tokenizer of the base model is not on this machine",
        "language": "no languages are set", "semantic": "the rows have no vectors",
        "topic_cap": "the rows have no vectors", "label_disagreement": "the rows have no vectors",
    }  # fmt: skip


def test_a_step_left_out_is_not_in_the_funnel() -> None:
    rows = [row(0, prompt="turn the lights on please"), row(1, prompt="Turn the lights on  please")]
    assert curate(rows, None, [], None, {}, LOOP).rows == 1
    curated = curate(rows, None, [], None, {}, config(skip=["exact", "near"]))
    assert curated.rows == 2
    assert not {"exact", "near"} & {f.name for f in curated.funnel}


def test_progress_is_told_before_each_step() -> None:
    told: list[tuple[str, int, int]] = []
    curate([row(0)], None, [], None, {}, config(skip=["balance"]), progress=lambda *step: told.append(step))
    names = [name for name in NAMES if name != "balance"]
    assert told == [(name, number, len(names)) for number, name in enumerate(names, start=1)]


def test_the_shares_of_classes_come_with_the_dataset() -> None:
    rows = [row(i, "On") for i in range(60)] + [row(60 + i, intent) for i in range(30) for intent in ("Off",)] + [row(99, "Timer")]
    assert curate(rows, None, [], None, {}, config(max_class_share=0.5)).balance == {"On": 31 / 60}
    assert curate(rows, None, [], None, {}, LOOP).balance == {}
    assert curate(rows, None, [], None, {}, config(max_class_share=0.5, skip=["balance"])).balance == {}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_loop_file_may_leave_out_each_step_that_is_not_required(step: NamedStep) -> None:
    rows = [row(i, intent) for i, intent in enumerate(INTENTS * 10)]
    funnel = [each.name for each in curate(rows, None, [], None, {}, LOOP).funnel]
    if step.required:
        with pytest.raises(ValidationError, match=f"Input should be '{SKIPPABLE[0]}', .* or '{SKIPPABLE[-1]}'"):
            config(skip=[step.name])
    else:
        left_out = curate(rows, None, [], None, {}, config(skip=[step.name])).funnel
        assert [each.name for each in left_out] == [name for name in funnel if name != step.name]


def test_the_schema_names_the_steps_that_may_be_left_out() -> None:
    assert Dataset.model_json_schema()["properties"]["skip"]["items"]["enum"] == [name for name in NAMES if name in SKIPPABLE]
    assert set(NAMES) - set(SKIPPABLE) == {"schema", "context", "control_tokens", "split", "size"}


@pytest.mark.parametrize(
    ("vectors", "tokens", "problem"),
    [
        (spread(3), None, "for 2 rows"),
        (np.ones(2), None, "for 2 rows"),
        (2 * spread(2), None, "not of length 1"),
        (np.full((2, 4), np.nan), None, "not of length 1"),
        (None, [5], "1 token counts for 2 rows"),
    ],
)
def test_input_that_does_not_fit_is_refused(vectors: np.ndarray | None, tokens: list[int] | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        curate([row(0), row(1)], vectors, [], None, {}, LOOP, tokens=tokens)


LABELS = LoopConfig.model_validate({**LOOP.model_dump(), "task": {"type": "classification", "system_prompt": "Name the intent."}})


@pytest.mark.parametrize("loop", [LOOP, LABELS], ids=["tool_call", "classification"])
def test_a_loop_of_wrong_corrections_and_one_poisoner_is_cleaned(loop: LoopConfig) -> None:
    """Three topics of right rows; every tenth correction is wrong, and one user calls everything Timer."""
    topics = [(intent, topic) for topic, intent in enumerate(INTENTS)]
    rows, vectors, wrong = [], [], set()
    for intent, topic in topics:
        rows += [row(1000 * topic + i, intent) for i in range(60)]
        vectors.append(spread(60, topic, seed=topic))
    rng = np.random.default_rng(0)
    for n in range(60):
        intent, topic = topics[n % 3]
        if n % 10 == 0:
            wrong.add(f"r{5000 + n}")
            intent = INTENTS[(topic + 1) % 3]
        rows.append(row(5000 + n, intent, source="correction", user=f"u{n % 12}"))
        vectors.append(spread(1, topic, seed=int(rng.integers(1e6))))
    for n in range(12):
        rows.append(row(7000 + n, "Timer", source="correction", user="poisoner"))
        vectors.append(spread(1, n % 2, seed=int(rng.integers(1e6))))
    if loop is LABELS:
        rows = [r.model_copy(update={"completion": json.loads(r.completion)["intent"]}) for r in rows]
    curated = curate(rows, np.concatenate(vectors), [], None, {}, loop)
    kept = split_of(curated)
    assert not wrong & kept.keys()
    assert not [r for r in kept if r.startswith("r70")]
    assert {"class On", "class Off", "class Timer"} <= funnel(curated)["balance"].counts.keys()
    assert len(dropped(curated, "label_disagreement") - wrong - {f"r70{n:02}" for n in range(12)}) <= 3


def test_the_funnel_of_a_text_task_says_that_there_are_no_classes() -> None:
    text = LoopConfig.model_validate({**LOOP.model_dump(), "task": {"type": "text", "system_prompt": "Answer."}})
    rows = [row(n).model_copy(update={"completion": f"{n} is the answer to this and to no other request"}) for n in range(20)]
    curated = curate(rows, spread(20), [], None, {}, text)
    assert funnel(curated)["balance"].skipped == "does not apply: a text task has no classes"
    assert not [name for step in curated.funnel for name in step.counts if name.startswith("class ")]
    assert (curated.balance, curated.rows) == ({}, 20)


def test_a_wrong_label_field_is_told_and_not_taken_for_one_class() -> None:
    wrong = LoopConfig.model_validate({**LOOP.model_dump(), "task": {"label": "queue", "system_prompt": "Answer as JSON."}})
    steps = funnel(curate([row(n) for n in range(20)], spread(20), [], None, {}, wrong))
    told = 'no answer names a class: each must be a JSON object whose field "queue" names the class'
    assert steps["balance"].skipped == steps["label_disagreement"].skipped == told
    assert not [name for name in steps["balance"].counts if name.startswith("class ")]


def test_one_of_two_labels_of_near_identical_requests_is_dropped_when_it_is_a_users() -> None:
    """Twelve requests of the seed come again in other words, each with another class."""
    rows = [row(n, INTENTS[n % 3]).model_copy(update={"completion": INTENTS[n % 3]}) for n in range(120)]
    vectors = [spread(40, topic, seed=topic)[n // 3] for n in range(120) for topic in [n % 3]]
    for n in range(12):
        again = row(500 + n, prompt=f"{rows[n].prompt} please", source="correction", user=f"u{n}")
        rows.append(again.model_copy(update={"completion": INTENTS[(n + 1) % 3]}))
        vectors.append(vectors[n])
    curated = curate(rows, np.array(vectors), [], None, {}, LABELS)
    assert dropped(curated, "label_disagreement") == {f"r05{n:02}" for n in range(12)}
    assert set(split_of(curated)) == {f"r{n:04}" for n in range(120)}


def test_personal_data_is_looked_for_in_requests_and_not_in_labels() -> None:
    phone = row(0, prompt="please call the office, the number is 555-123-4567").model_copy(update={"completion": "desk 555-123-4567"})
    curated = curate([phone], None, [], None, {}, LABELS)
    (kept,) = curated.splits["train"]
    assert (kept.prompt, kept.completion) == ("please call the office, the number is <PHONE>", "desk 555-123-4567")


def funnel(curated: Curated) -> dict[str, StepReport]:
    return {step.name: step for step in curated.funnel}


def test_a_report_can_be_written_as_json() -> None:
    curated: Curated = curate([row(0), row(1).model_copy(update={"completion": "x"})], None, [], None, {}, LOOP)
    json.dumps([vars(report) for report in curated.funnel])
