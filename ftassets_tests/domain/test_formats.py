from typing import Any

import pytest

from ftassets.backends.control import postgres as control
from ftassets.backends.traffic_log import postgres, sqlite
from ftassets.domain.formats import KINDS, InvalidInput, Kind, NewerFormat, checked, lift, read, renames, stamp


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind whose current version is 3."""
    lifts = {1: lambda document: document | {"a": document["a"] + 1}, 2: lambda document: {"b": document["a"]}}
    monkeypatch.setitem(KINDS, "third", Kind("third", "a third", "", "", "", "", 3, lifts))


def test_every_version_of_a_kind_has_a_lift_to_the_next_one() -> None:
    in_databases = {"traffic_sqlite": sqlite, "traffic_postgres": postgres, "control_postgres": control}
    for name, kind in KINDS.items():
        steps: Any = getattr(in_databases[name], "MIGRATIONS", {}) if name in in_databases else kind.lifts
        assert sorted(steps) == list(range(1, kind.version)), name
    for name, module in in_databases.items():
        assert KINDS[name].version == module.SCHEMA_VERSION


@pytest.mark.usefixtures("third")
def test_a_document_is_lifted_step_by_step_and_stays_as_it_was_given() -> None:
    stored = {"a": 1}
    assert read("third", stored) == {"b": 2}
    assert stored == {"a": 1}
    assert read("third", {"format": 2, "a": 1}) == {"b": 1}
    assert read("third", {"format": 3, "b": 1}) == {"b": 1}
    assert lift("third", 2, {"a": 5}) == {"b": 5}


@pytest.mark.usefixtures("third")
def test_what_is_stamped_is_read_as_it_was() -> None:
    assert stamp("third", {"b": 1}) == {"format": 3, "b": 1}
    assert read("third", stamp("third", {"b": 1})) == {"b": 1}


def test_version_1_is_written_without_a_number() -> None:
    assert KINDS["latest"].version == 1
    assert stamp("latest", {"a": 1}) == {"a": 1}
    assert read("latest", {"a": 1, "format": 1}) == {"a": 1}


@pytest.mark.usefixtures("third")
def test_a_newer_release_is_named_and_what_to_do() -> None:
    with pytest.raises(NewerFormat, match="a third: format 4 was written by a newer release of ftassets, this one reads up to 3; upgrade"):
        read("third", {"format": 4})


@pytest.mark.parametrize("number", [0, -1, True, 1.0, "2", None, [1]])
def test_a_number_that_is_not_one_is_refused(number: Any) -> None:
    with pytest.raises(InvalidInput, match="must be a whole number from 1 to 3") as raised:
        checked("manifest", number)
    assert not isinstance(raised.value, NewerFormat)


@pytest.mark.parametrize("document", [[1, 2], "text", None, 3])
def test_what_is_not_an_object_is_left_to_its_model(document: Any) -> None:
    assert read("manifest", document) == document


def test_old_and_new_name_together_are_refused() -> None:
    with pytest.raises(InvalidInput, match="train: rank is the old name of lora_r, and both are given: remove rank"):
        read("loop_file", {"train": {"rank": 1, "lora_r": 2}})


def test_the_names_of_a_format_1_loop_file_are_found_wherever_they_are() -> None:
    old = {
        "judge": {"url": "u"},
        "train": {"rank": 8, "epochs": 1},
        "monitors": {"judge": {"url": "u"}},
        "gates": [{"any_of": [{"metric": "judge"}, {"metric": "exact_match"}]}],
    }
    assert renames(old) == [
        ("judge", "llm_judge"),
        ("train.rank", "train.lora_r"),
        ("monitors.judge", "monitors.llm_judge"),
        ("metric: judge", "metric: llm_judge"),
    ]
    new = read("loop_file", old)
    assert new == {
        "llm_judge": {"url": "u"},
        "train": {"lora_r": 8, "epochs": 1},
        "monitors": {"llm_judge": {"url": "u"}},
        "gates": [{"any_of": [{"metric": "llm_judge"}, {"metric": "exact_match"}]}],
    }
    assert renames(new) == []


@pytest.mark.parametrize("attributes", [None, [], {"train": None, "gates": 3}, {"train": "fast", "gates": [None, "x", {"any_of": 1}]}])
def test_a_loop_file_of_another_shape_is_left_to_its_model(attributes: Any) -> None:
    assert renames(attributes) == []
    assert read("loop_file", attributes) == attributes


def test_a_share_becomes_a_weight_in_percent() -> None:
    assert lift("preference_pairs", 1, {"share": 0.25, "source": "thumbs"}) == {"weight": 25.0, "source": "thumbs"}
    assert lift("preference_pairs", 2, {"prompt": "yes"}) == {"messages": [{"role": "user", "content": "yes"}]}
    assert lift("dataset_rows", 1, {"source": "liked"}) == {"source": "thumbs_up"}
    assert lift("dataset_rows", 1, {"source": "seed"}) == {"source": "seed"}
