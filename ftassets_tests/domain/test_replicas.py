import pytest

from ftassets.domain.replicas import SILENT, Beat, Heard, hear, lacking, not_alike, pending, without_server

CLOCK = 1_000_000.0


def beat(name: str = "two", number: int = 1, **changes: object) -> Beat:
    fields = {"life": "x", "at": CLOCK, "revision": 5, "ready": (), "asks": (), "users": "salt", "own_log": False}
    return Beat.model_validate({"name": name, "number": number, **fields, **changes})


def test_a_beat_counts_from_when_it_is_first_seen_whatever_the_clock_of_its_machine_says() -> None:
    known = hear({}, [beat(at=CLOCK + 20)], 100.0, CLOCK)
    assert known["two"].since == 100.0
    known = hear(known, [beat(at=CLOCK + 20)], 104.0, CLOCK + 4)
    assert (known["two"].since, known["two"].live(104.0), known["two"].live(100.0 + SILENT)) == (100.0, True, False)
    assert hear(known, [beat(number=2, at=0.0)], 106.0, CLOCK + 6)["two"].live(106.0)
    assert hear(known, [beat(life="y")], 106.0, CLOCK + 6)["two"].live(106.0), "it was started again"
    assert hear(known, [], 106.0, CLOCK + 6) == {}, "it left"


@pytest.mark.parametrize(("at", "live", "silent"), [(CLOCK - 10, True, 0.0), (CLOCK - 600, False, 600.0), (CLOCK + 600, False, SILENT)])
def test_of_one_that_was_never_seen_before_its_clock_must_do(at: float, live: bool, silent: float) -> None:
    heard = hear({}, [beat(at=at)], 1000.0, CLOCK)["two"]
    assert (heard.live(1000.0), heard.silent(1000.0)) == (live, silent)


def test_who_lacks_a_change_is_named_and_only_the_live_are_waited_for() -> None:
    heard = [Heard(beat("two", revision=6), 100.0), Heard(beat("three"), 100.0), Heard(beat("four"), 40.0)]
    assert lacking(heard, 6, 101.0) == ["four (silent for 61 s)", "three (has not confirmed it yet)"]
    assert pending(heard, 6, 101.0)
    assert not pending(heard, 6, 100.0 + SILENT)
    assert lacking(heard, 5, 101.0) == []


def test_a_version_is_up_everywhere_when_every_live_replica_has_it() -> None:
    heard = [Heard(beat("two", ready=("a", "b")), 100.0), Heard(beat("three", ready=("a",)), 100.0), Heard(beat("four"), 0.0)]
    assert without_server(heard, "a", 101.0) == []
    assert without_server(heard, "b", 101.0) == ["three"]


def test_replicas_must_share_the_log_and_the_users() -> None:
    live, dead = [Heard(beat("two"), 100.0)], [Heard(beat("two", users="other", own_log=True), 0.0)]
    assert not_alike(beat("one"), live, 101.0) is None
    assert not_alike(beat("one", users="other"), dead, 101.0) is None
    assert "traffic log of one is a file" in str(not_alike(beat("one", own_log=True), live, 101.0))
    assert "another secret" in str(not_alike(beat("one", users="other"), live, 101.0))
