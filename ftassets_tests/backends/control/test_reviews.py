"""Human reviews: everybody's word is kept, and a review counts for one report."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.backends.control.reviews import ReviewDamaged, add_review, read_review
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.domain.evaluation.human_review import Given, ReviewRefused

DIGEST, OTHER = "ab" * 32, "cd" * 32


def given(by: str, **verdicts: bool) -> Given:
    return Given(by=by, at=1.0, verdicts=verdicts)


def test_a_review_is_added_to_and_read_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read_review(control(home), "triage", DIGEST) is None
    add_review(control(home), "triage", DIGEST, "run", given("anna", a=True, b=True))
    review = add_review(control(home), "triage", DIGEST, "run", given("ben", a=False))
    assert read_review(control(home), "triage", DIGEST) == review
    assert (review.good, review.people) == ({"a": False, "b": True}, ["anna", "ben"])
    assert read_review(control(home), "triage", OTHER) is None


def test_a_person_may_say_no_later_and_not_take_it_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    add_review(control(home), "triage", DIGEST, "run", given("anna", a=True, b=False))
    before = read_review(control(home), "triage", DIGEST)
    with pytest.raises(ReviewRefused, match="nothing was stored: anna called b bad before, and that stays"):
        add_review(control(home), "triage", DIGEST, "run", given("anna", a=True, b=True, c=True))
    assert read_review(control(home), "triage", DIGEST) == before
    review = add_review(control(home), "triage", DIGEST, "run", given("anna", a=False, c=True))
    assert review.good == {"a": False, "b": False, "c": True}


def test_nobody_is_lost_when_all_import_at_once(tmp_path: Path) -> None:
    names = [f"person {n}" for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add_review(control(Home(tmp_path)), "triage", DIGEST, "run", given(name, a=True)), names))
    review = read_review(control(Home(tmp_path)), "triage", DIGEST)
    assert review is not None
    assert set(review.people) == set(names)


@pytest.mark.parametrize("damage", ["{", "another"])
def test_a_file_that_is_no_review_of_this_report_is_refused(damage: str, tmp_path: Path) -> None:
    add_review(control(Home(tmp_path)), "triage", DIGEST, "run", given("anna", a=True))
    path = next((tmp_path / "reports").rglob("review-*.json"))
    kept = damage if damage == "{" else path.read_text().replace(DIGEST, OTHER)
    path.write_text(kept)
    with pytest.raises(ReviewDamaged, match="cannot be read|another report"):
        read_review(control(Home(tmp_path)), "triage", DIGEST)
    with pytest.raises(ReviewDamaged, match="cannot be read|another report"):
        add_review(control(Home(tmp_path)), "triage", DIGEST, "run", given("ben", a=True))
    assert path.read_text() == kept
