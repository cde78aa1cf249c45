"""The blocking checks of a dataset: each refuses what curation should have kept out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ftassets.domain.acceptance import Check, refusals
from ftassets.domain.chat import question
from ftassets.domain.dataset.acceptance import BLOCKING, dataset_checks
from ftassets.domain.dataset.curation import Curated, preflight
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets_tests.domain.dataset.curation.sample import config, talk

GOLDEN = [Example(id="g0", messages=question("golden"), completion='{"intent": "g"}')]


def example(name: str, prompt: str | None = None, completion: str = '{"intent": "a"}') -> Example:
    return Example(id=name, messages=question(prompt or f"request {name}"), completion=completion)


def decide(
    train: Sequence[Example], test: Sequence[Example] = (), collected: int | None = None, near: dict[str, int] | None = None, **dataset: Any
) -> dict[str, Check]:
    """The verdicts on these rows. Each row has an axis of its own as vector, the golden row the first one, unless `near` says which."""
    rows = [*train, *test]
    axes = np.eye(len(rows) + 1, dtype=np.float32)
    places = {row.id: (near or {}).get(row.id, number) for number, row in enumerate(rows, start=1)}
    loop = config(**{"min_rows": 1, **dataset})
    dropped = [Quarantined("exact:r", "a copy", "r")]
    splits = {"train": list(train), "validation": [], "test": list(test)}
    curated = Curated(splits, dropped, [], preflight(len(rows), loop.dataset), {})
    return dataset_checks(loop, curated, len(rows) + 1 if collected is None else collected, axes, places, GOLDEN, axes[:1])


def refused(*arguments: Any, **more: Any) -> dict[str, str]:
    return refusals(decide(*arguments, **more), BLOCKING)


def test_sound_rows_are_accepted_by_every_check() -> None:
    checks = decide([example("a"), example("b")], [example("c")])
    assert set(checks) == set(BLOCKING)
    assert all(check.passed for check in checks.values())
    assert checks["rows_add_up"].sentence == "4 collected, 3 kept, 1 quarantined"


@pytest.mark.parametrize(
    ("name", "rows", "sentence"),
    [
        ("schema", [example("a", completion="no JSON")], "1 row has an answer of another form: a"),
        ("no_duplicates", [example("a", "Stop it"), example("b", "stop  it")], "1 row has the request of another row: b"),
        ("pii_scrubbed", [example("a", "write to ann@example.com")], "1 row has text with the form of personal data: a"),
        ("pii_scrubbed", [example("a", completion='{"to": "ann@example.com"}')], "1 row has text with the form of personal data: a"),
    ],
)
def test_rows_that_curation_should_have_dropped_refuse_the_dataset(name: str, rows: list[Example], sentence: str) -> None:
    assert refused(rows) == {name: sentence}


def test_rows_that_got_lost_refuse_the_dataset() -> None:
    assert refused([example("a")], collected=3) == {"rows_add_up": "3 collected, 1 kept, 1 quarantined"}


def test_too_few_rows_refuse_the_dataset() -> None:
    assert "1 row is too few: the loop asks for 2" in refused([example("a")], min_rows=2)["enough_rows"]


def test_a_row_near_a_golden_row_or_one_of_another_split_refuses_the_dataset() -> None:
    assert "0 near pairs across splits, 1 with the golden set" in refused([example("a")], near={"a": 0})["no_leak"]
    leak = refused([example("a")], [example("b")], near={"b": 1})["no_leak"]
    assert "1 near pairs across splits, 0 with the golden set" in leak
    assert leak.endswith("; a and b")


def test_of_many_held_out_rows_a_part_is_compared_and_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [example(name) for name in "bcdef"]
    near = {name: 1 for name in "bcdef"}
    monkeypatch.setattr("ftassets.domain.dataset.acceptance.MOST_PAIRS", 2)
    first = refused([example("a")], held, near=near)["no_leak"]
    assert first.startswith("2 near pairs across splits of 2 of the 5 held-out rows, 0 with the golden set")
    assert refused([example("a")], held[::-1], near=near)["no_leak"] == first, "chosen by their ids, not by their places"


def test_equal_vectors_of_conversations_are_a_leak_only_where_all_parts_are_near() -> None:
    opening = ("Where is the parcel I ordered?", "In Leeds. Shall it come tomorrow?")
    yes, no, again = talk(1, *opening, "yes"), talk(2, *opening, "no, cancel"), talk(3, opening[0] + "!", opening[1], "yes")
    same = {row.id: 1 for row in (yes, no, again)}
    assert decide([yes], [no], near=same)["no_leak"].passed
    assert refused([yes], [again], near=same)["no_leak"].endswith("; r0001 and r0003")


def test_a_golden_row_below_another_system_message_is_a_leak_and_a_row_of_another_split_is_not() -> None:
    one, other = talk(1, "golden", system="It is 10:01."), talk(2, "golden", system="Answer like a sailor at all times.")
    assert "0 near pairs across splits, 1 with the golden set" in refused([one], near={"r0001": 0})["no_leak"]
    assert decide([one], [other], near={"r0001": 1, "r0002": 1})["no_leak"].passed


def test_what_the_loop_leaves_out_says_that_it_was_not_checked() -> None:
    rows = [example("a", "Call 555-867-5309"), example("b", "Call 555-867-5309")]
    checks = decide(rows, skip=["exact", "pii"])
    assert [checks[name].sentence for name in ("no_duplicates", "pii_scrubbed")] == [
        "not checked: dataset.skip names the step exact", "not checked: dataset.skip names the step pii",
    ]  # fmt: skip
    assert "0 with the golden set" in decide([example("a")], near={"a": 0}, skip=["contamination"])["no_leak"].sentence
