"""What people found of the answers behind an eval report, one document a report."""

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.evaluation.human_review import Given, Review, ReviewRefused
from ftassets.domain.formats import NewerFormat
from ftassets.domain.gates.inputs import some
from ftassets.errors import StateDamaged, in_one_line

FOLDER = "reports"  # next to the reports, which are artifacts
_REMEDY = "Restore it from a backup, or materialize eval_report again, which draws another sample"


class ReviewDamaged(StateDamaged):
    """A stored review cannot be read, or belongs to another report."""


def read_review(control: Control, loop: str, report: str) -> Review | None:
    """The review of the report with this digest, None before the first one. Raises ReviewDamaged, OSError."""
    key = _key(loop, report)
    content = control.read(key)
    return None if content is None else _parsed(content, report, control.uri(key))


def add_review(control: Control, loop: str, report: str, run_id: str, given: Given) -> Review:
    """Add what a person found to the review of a report, which run `run_id` made; the whole review.

    Raises ReviewRefused if the person takes a no back, ReviewDamaged, OSError; nothing is stored then.
    """
    key = _key(loop, report)
    reviews: list[Review] = []

    def change(content: bytes | None) -> bytes:
        known = Review(report=report, run_id=run_id) if content is None else _parsed(content, report, control.uri(key))
        if back := known.taken_back(given):
            raise ReviewRefused(
                f"nothing was stored: {given.by} called {some(back)} bad before, and that stays, because the verdict is "
                "known by now. Leave these rows empty. If it was a slip, materialize eval_report again, which draws another sample"
            )
        reviews.append(known.model_copy(update={"given": (*known.given, given)}))
        return canonical_json(reviews[-1].document())

    control.update(key, change)
    return reviews[-1]


def _parsed(content: bytes, report: str, where: str) -> Review:
    try:
        review = Review.parse(content)
    except NewerFormat as error:
        raise ReviewDamaged(f"{where} cannot be read: {error}") from error
    except ValueError as error:
        raise ReviewDamaged(f"{where} cannot be read ({in_one_line(error)}). {_REMEDY}") from error
    if review.report != report:
        raise ReviewDamaged(f"{where} is the review of another report. {_REMEDY}")
    return review


def _key(loop: str, report: str) -> str:
    return f"{FOLDER}/{loop}/review-{report}.json"
