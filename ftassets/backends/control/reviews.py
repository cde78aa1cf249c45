"""What people said of the answers behind an eval report, one file a report."""

from pathlib import Path

import dagster as dg
from filelock import FileLock
from pydantic import ValidationError

from ftassets.config.home import Home
from ftassets.domain.canonical import canonical_json
from ftassets.domain.evaluation.human_review import Given, Review
from ftassets.durable import write_durably


def read_review(home: Home, loop: str, report: str) -> Review | None:
    """What was said of the report with this digest, None when nobody looked. Raises dg.Failure on a file that is not it."""
    path = _path(home, loop, report)
    if not path.exists():
        return None
    try:
        review = Review.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise dg.Failure(f"{path} cannot be read: remove it and import the review again ({error})", allow_retries=False) from error
    if review.report != report:
        raise dg.Failure(f"{path} is the review of another report: remove it and import the right one", allow_retries=False)
    return review


def add_review(home: Home, loop: str, report: str, run_id: str, given: Given) -> Review:
    """Add what a person said to the review of a report, which run `run_id` made. Raises OSError, dg.Failure; nothing is stored then."""
    path = _path(home, loop, report)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        known = read_review(home, loop, report) or Review(report=report, run_id=run_id)
        review = known.model_copy(update={"given": (*known.given, given)})
        write_durably(path, canonical_json(review.model_dump(mode="json")))
    return review


def _path(home: Home, loop: str, report: str) -> Path:
    return home.reports / loop / f"review-{report}.json"
