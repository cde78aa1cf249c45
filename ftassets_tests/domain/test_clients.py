import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.clients import Allowance, ClientKeys, new_key
from ftassets.errors import InvalidInput


def keys_of(*names: str) -> ClientKeys:
    keys = ClientKeys()
    for name in names:
        keys = keys.added(new_key(name, f"fta_{name}", 0.0), 0.0)
    return keys


def test_a_key_is_known_by_its_hash_alone() -> None:
    keys = keys_of("web", "batch")
    found = keys.of("fta_web", 1.0)
    assert found is not None
    assert found.name == "web"
    assert keys.of("fta_web ", 1.0) is keys.of("", 1.0) is keys.of(found.sha256, 1.0) is None
    assert b"fta_web" not in keys.model_dump_json().encode()


def test_after_a_rotation_both_keys_count_for_the_grace_and_settings_stay() -> None:
    keys = ClientKeys().added(new_key("web", "old", 0.0, ["support"], 60, 1000), 0.0).rotated("web", "new", 100.0, 50.0)
    old, new = keys.of("old", 149.0), keys.of("new", 149.0)
    assert old is not None
    assert new is not None
    assert (new.loops, new.requests_a_minute, new.tokens_a_minute) == (("support",), 60, 1000)
    assert keys.of("old", 150.0) is None
    again = keys.rotated("web", "newest", 120.0, 1000.0)
    assert again.of("old", 150.0) is None, "a second rotation gives the first key no more time"


def test_a_revoked_client_has_no_key_and_its_name_can_be_used_again() -> None:
    keys = keys_of("web", "batch").rotated("web", "other", 10.0, 1000.0).revoked("web", 20.0)
    assert keys.of("fta_web", 20.0) is keys.of("other", 20.0) is None
    assert keys.of("fta_batch", 20.0) is not None
    assert keys.added(new_key("web", "third", 30.0), 30.0).of("third", 31.0) is not None


def test_names_that_are_taken_unknown_or_no_names_are_refused() -> None:
    keys = keys_of("web")
    for name, match in (("web", "already"), ("", "cannot be the name"), ("a b", "cannot be the name"), ("x" * 64, "cannot be the name")):
        with pytest.raises(InvalidInput, match=match):
            keys.added(new_key(name, "k", 0.0), 0.0)
    with pytest.raises(InvalidInput, match="there is no client app: ftassets clients list"):
        keys.rotated("app", "k", 0.0, 1.0)
    with pytest.raises(InvalidInput, match="there is no client app"):
        keys.revoked("app", 0.0)


@given(st.floats(0.5, 1000), st.lists(st.floats(0, 30), max_size=200))
def test_no_window_of_a_minute_has_more_than_a_minutes_worth_and_what_flowed_in(a_minute: float, pauses: list[float]) -> None:
    now, allowance, taken = 0.0, Allowance.full(a_minute, 0.0), []
    for pause in pauses:
        now += pause
        if allowance.wait(now) == 0:
            allowance.take(1, now)
            taken.append(now)
    for begin in taken:
        inside = sum(begin <= each < begin + 60 for each in taken)
        assert inside <= 2 * a_minute + 1 + 1e-6


def test_what_was_overdrawn_is_waited_for_and_a_clock_set_back_gives_nothing() -> None:
    tokens = Allowance.full(100, 0.0)
    tokens.take(300, 0.0)
    assert tokens.wait(0.0) == pytest.approx(201 * 60 / 100)
    assert tokens.wait(-1e6) == tokens.wait(0.0)
    assert tokens.wait(121.0) == 0
