"""A scenario file: what it may say, and what an error names."""

from pathlib import Path

import pytest

from ftassets.errors import InvalidInput
from ftassets.simulation.scenario import Scenario, read_scenario


def read(tmp_path: Path, text: str) -> Scenario:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    return read_scenario(path)


def test_an_empty_file_is_usual_days_and_events_come_in_order(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Scenario.model_validate({})
    found = read(tmp_path, "events: [{day: 9, rollback: true}, {day: 3, days: 2, outage: 0.5}]")
    assert [(event.kind, event.day) for event in found.ordered] == [("outage", 3), ("rollback", 9)]
    assert [found.ordered[0].lasts(day) for day in (2, 3, 4, 5)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("requests: 0", "requests: Input should be greater than 0"),
        ("visitors: 5", "visitors: Extra inputs are not permitted"),
        ("events: [{day: 1}]", "events.0: an event is one of topic, traffic, .* this one names none of them"),
        ("events: [{day: 1, spam: 5, outage: 0.1}]", "this one names outage and spam"),
        ("events: [{day: 1, spam: 5, share: 0.1}]", "share and over belong to a topic"),
        ("week: [0, 0, 0, 0, 0, 0, 0]", "week has a weight of 0 or more for each weekday"),
        ("trainings: [lost]", "trainings.0: Input should be 'trained'"),
        ("- 1", "the file: Input should be a valid dictionary"),
        ("a: [", "is not YAML"),
    ],
)
def test_an_error_names_the_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read(tmp_path, text)
