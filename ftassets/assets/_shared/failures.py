"""Turns errors that need a person into a run failure without retries."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ftassets.errors import FtassetsError

# how a failure begins that says why a release is not made, and why a run does not begin
REFUSED, OVER_BUDGET = "release refused", "refused by the budget"


@contextmanager
def failing() -> Iterator[None]:
    """Turns an error of this package into the run's own failure. Raises dg.Failure."""
    try:
        yield
    except FtassetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
