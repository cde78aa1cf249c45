"""Which concerns are sent: over any course of concerns, each once and its end once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.health.health import Concern
from ftassets.domain.health.notices import AGAIN, LASTS, OVER, Notices, Said
from ftassets.errors import InvalidInput

NAMES = ["drift-alarm", "traffic-stopped", "not-recorded", "behaviour-changed"]
SAID = Said(by="anna", at=0.0, reason="known")


def concern(subject: str, **changes: str) -> Concern:
    severity = "info" if subject == "behaviour-changed" else "ticket"
    return Concern(**{"subject": subject, "severity": severity, "text": "why", **changes})


def tick(known: Notices, there: list[str], now: float, reached: bool = True) -> tuple[Notices, list[tuple[str, bool]]]:
    """What the sensor does; what it sent."""
    known = known.seeing([concern(name) for name in there], now)
    sent = []
    for due in known.due(now):
        known = known.after(due, reached, now)
        sent.append((due.key, due.over))
    return known.forgetting(now), sent


@given(st.lists(st.tuples(st.sampled_from([30.0, 200.0, 1000.0, 4000.0]), st.lists(st.sampled_from(NAMES), unique=True)), max_size=60))
def test_a_beginning_and_an_end_take_turns_and_nothing_is_sent_before_it_lasted(course: list[tuple[float, list[str]]]) -> None:
    known, now = Notices(), 0.0
    told: dict[str, bool] = {}
    seen: dict[str, list[float]] = {name: [] for name in NAMES}
    for wait, there in course:
        now += wait
        for name in there:
            seen[name].append(now)
        known, sent = tick(known, there, now)
        assert len({key for key, _ in sent}) == len(sent)
        for key, over in sent:
            assert told.get(key, False) is over, "a beginning, then an end"
            told[key] = not over
            assert key not in ("not-recorded", "behaviour-changed"), "what is sent elsewhere, or only informs"
            if over:
                assert now - seen[key][-1] >= OVER
            else:
                assert key in there
                assert now - seen[key][0] >= LASTS
    for name, is_told in told.items():
        if is_told:
            assert name in known.open, "its end is still to be sent"


def test_what_is_over_and_was_never_sent_is_forgotten() -> None:
    known, _ = tick(Notices(), ["drift-alarm"], 0.0)
    known, sent = tick(known, [], OVER)
    assert (known.open, sent) == ({}, [])


def test_what_cannot_be_sent_is_tried_again_after_a_while_also_its_end() -> None:
    known, _ = tick(Notices(), ["drift-alarm"], 0.0)
    known, sent = tick(known, ["drift-alarm"], LASTS, reached=False)
    assert sent == [("drift-alarm", False)]
    known, sent = tick(known, ["drift-alarm"], LASTS + AGAIN - 1)
    assert sent == []
    known, sent = tick(known, ["drift-alarm"], LASTS + AGAIN)
    assert sent == [("drift-alarm", False)]
    end = LASTS + AGAIN + OVER
    known, sent = tick(known, [], end, reached=False)
    assert sent == [("drift-alarm", True)]
    known, sent = tick(known, [], end + AGAIN)
    assert (known.open, sent) == ({}, [("drift-alarm", True)])


def test_the_end_of_what_people_were_told_of_is_sent_though_it_was_silenced_meanwhile() -> None:
    known, _ = tick(Notices(), ["drift-alarm"], 0.0)
    known, sent = tick(known, ["drift-alarm"], LASTS)
    assert sent == [("drift-alarm", False)]
    known, sent = tick(known.silence("drift-alarm", 86400.0, SAID), [], LASTS + OVER)
    assert (known.open, sent) == ({}, [("drift-alarm", True)])


def test_a_silence_covers_a_subject_or_one_concern_of_it() -> None:
    waits = "report-missing:drift_report"
    assert Notices().silence("report-missing", 10.0, SAID).silenced(waits, 9.0)
    assert Notices().silence("report-missing:drift_report", 10.0, SAID).silenced(waits, 9.0)
    assert not Notices().silence("report-missing:quality_report", 10.0, SAID).silenced(waits, 9.0)
    assert not Notices().silence("report-missing", 10.0, SAID).silenced(waits, 10.0)
    assert Notices().silence("report-missing", 10.0, SAID).silence("report-missing", 0.0, SAID).silences == ()


def test_only_what_is_there_is_acknowledged() -> None:
    with pytest.raises(InvalidInput, match="there are: drift-alarm"):
        Notices().seeing([concern("drift-alarm")], 0.0).acknowledge("traffic-stopped", SAID)
