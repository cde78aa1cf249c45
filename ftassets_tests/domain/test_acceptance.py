"""What is refused by the verdicts stored with it."""

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.acceptance import UNDECIDED, Check, in_words, refusals

PASSED, FAILED = Check(passed=True, sentence="12 of 10"), Check(passed=False, sentence="8 of 10")


def test_a_failed_check_and_one_that_was_never_decided_refuse() -> None:
    assert refusals({"a": PASSED, "b": FAILED}, ["a", "b", "c"]) == {"b": "8 of 10", "c": UNDECIDED}
    assert refusals({"a": PASSED}, ["a"]) == {}
    assert refusals({}, ["a"]) == {"a": UNDECIDED}


def test_a_failed_check_that_this_release_does_not_know_refuses_as_well() -> None:
    assert refusals({"a": PASSED, "newer": FAILED}, ["a"]) == {"newer": "8 of 10"}


NAMES = st.sampled_from("abcd")


@given(st.dictionaries(NAMES, st.booleans()), st.sets(NAMES))
def test_accepted_is_what_has_every_needed_verdict_and_no_failed_one(found: dict[str, bool], needed: set[str]) -> None:
    checks = {name: PASSED if passed else FAILED for name, passed in found.items()}
    assert (refusals(checks, needed) == {}) is (all(found.values()) and needed <= found.keys())


def test_refusals_in_words_are_in_order() -> None:
    assert in_words({"schema": "1 row", "enough_rows": "8 of 10"}) == "enough_rows: 8 of 10; schema: 1 row"
