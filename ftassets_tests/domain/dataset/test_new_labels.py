"""Which labels count: one for each request that curation would keep, and none that teaches nothing."""

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question
from ftassets.domain.dataset.curation import curate
from ftassets.domain.dataset.new_labels import CONFIRMS, KNOWN, VARIED, fact, usable
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.test_retrain import LOOP

VARIED_TEXT = "put the {} out"
OFF, ON = '{"intent": "off"}', '{"intent": "on"}'


def _name(number: int) -> str:
    """Another one for each number, and no word of it near another's."""
    return " ".join(hashlib.sha256(f"{number} {part}".encode()).hexdigest()[:12] for part in range(3))


def row(number: int, asked: str | None = None, completion: str = OFF, source: str = "correction", **more: Any) -> Example:
    more = {"user": f"u{number}", "at": float(number), **more}
    asked = asked or f"switch {_name(number)} off, please"
    return Example(id=f"r{number}", request_id=f"r{number}", messages=question(asked), completion=completion, source=source, **more)


@pytest.mark.parametrize(
    ("rows", "counted", "dropped"),
    [
        ([row(n) for n in range(200)], 200, {}),
        ([row(n, user="one") for n in range(200)], 50, {"user_cap": 150}),
        ([row(n, "switch it off now") for n in range(200)], 1, {"exact": 199}),
        ([row(n, completion="lol no") for n in range(200)], 0, {"schema": 200}),
        ([row(n, "aaaaaaaaaaaaaaaaaaaaaaaaa") for n in range(3)], 0, {"quality": 3}),
        ([row(n, "on", completion="{}") for n in range(3)], 0, {"length": 3}),
        ([row(1, "switch it off now"), row(2, "Switch it  OFF now", completion=ON)], 1, {"conflicts": 1}),
        ([row(1, at=None), row(2, f"switch {_name(1)} off, please", completion=ON, at=None)], 0, {"conflicts": 2}),
        ([row(n, source="label", user="one") for n in range(60)], 60, {}),
        ([row(n, f"switch lamp {n} off, please") for n in range(9)], 1, {"near": 8}),
        ([row(n, VARIED_TEXT.format(f"{n}x{n}"), user="one") for n in range(40)], 1, {VARIED: 39}),
        ([row(n, VARIED_TEXT.format(f"{n}x{n}"), user=f"u{n % 5}") for n in range(40)], 5, {VARIED: 35}),
        ([row(n, VARIED_TEXT.format(f"{n}x{n}"), user=f"u{n}") for n in range(40)], 40, {}),
    ],
)
def test_what_a_cheap_step_of_curation_drops_does_not_count(rows: list[Example], counted: int, dropped: dict[str, int]) -> None:
    found = usable(rows, {}, LOOP)
    assert (len(found.rows), found.dropped) == (counted, dropped)


def test_a_step_that_the_loop_skips_drops_nothing() -> None:
    loop = LOOP.model_copy(update={"dataset": LOOP.dataset.model_copy(update={"skip": ["user_cap"]})})
    assert len(usable([row(n, user="one") for n in range(200)], {}, loop).rows) == 200


def test_a_label_that_says_what_the_model_said_does_not_count() -> None:
    given_to = {"r1": '{"intent":"off"}', "r2": ON}
    found = usable([row(1), row(2), row(3, completion="lol")], given_to, LOOP)
    assert [each.id for each in found.rows] == ["r2"]
    assert found.dropped == {CONFIRMS: 1, "schema": 1}
    assert found.in_words() == f"{CONFIRMS} 1, schema 1"


def test_what_production_was_trained_on_does_not_count() -> None:
    known = fact(row(7, f"Switch  {_name(1)} OFF, please"), LOOP.task.form)
    assert usable([row(1), row(2)], {}, LOOP, learnt={known}).dropped == {KNOWN: 1}
    assert not usable([row(1, completion=ON)], {}, LOOP, learnt={known}).dropped


def test_rows_of_the_seed_name_the_labels_and_take_no_place() -> None:
    loop = LoopConfig.model_validate(
        LOOP.model_dump(mode="json", exclude={"task"}) | {"task": {"type": "classification", "system_prompt": "Name the team."}}
    )
    seed = [row(90, f"switch {_name(1)} off, please", "lamps", "seed"), row(91, "how much is it", "billing", "golden")]
    labels = [row(1, completion="LAMPS"), row(2, completion="billing"), row(3, completion="lol no")]
    found = usable(labels, {"r1": "billing"}, loop, seed)
    assert [each.completion for each in found.rows] == ["lamps", "billing"]
    assert found.dropped == {"schema": 1}


@given(
    st.lists(
        st.builds(
            row,
            st.integers(0, 10_000),
            st.sampled_from(["switch it off now", "dim the lamp a bit", "open the garage door", None]),
            st.sampled_from([OFF, ON, "lol", "{}"]),
            st.sampled_from(["correction", "label"]),
            user=st.sampled_from(["one", "two", None]),
            at=st.sampled_from([1.0, 2.0, None]),
        ),
        max_size=20,
        unique_by=lambda each: each.id,
    )
)
def test_curation_keeps_what_counts_and_no_more_where_only_the_cheap_steps_run(rows: list[Example]) -> None:
    cheap = LOOP.dataset.model_copy(update={"skip": ["near", "pii", "poisoning", "label_disagreement"]})
    loop = LOOP.model_copy(update={"dataset": cheap})
    kept = curate(rows, None, [], None, {}, loop).splits
    assert {each.id for each in usable(rows, {}, loop).rows} == {each.id for members in kept.values() for each in members}


def test_five_thousand_corrections_are_counted_within_two_seconds() -> None:
    rows = [row(n, user=f"u{n % 500}") for n in range(5000)]
    began = time.process_time()
    assert len(usable(rows, {}, LOOP).rows) == 5000
    assert time.process_time() - began < 2.0
