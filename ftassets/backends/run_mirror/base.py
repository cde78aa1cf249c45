"""A second place that shows trainings. It decides nothing: the caller continues without it when it fails."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from ftassets.domain.training.points import Point


class RunMirror(ABC):
    """Shows one training under the id of its run in the registry. It gets numbers, settings and ids, and no texts of users.

    Each method may raise whatever the service's library raises.
    """

    @abstractmethod
    def begin(self, run_id: str, name: str, facts: Mapping[str, object]) -> str:
        """Show that the training runs, or take it up again; where it is shown, in words."""

    @abstractmethod
    def log_points(self, points: Sequence[Point]) -> None:
        """Add numbers of the training."""

    @abstractmethod
    def end(self, facts: Mapping[str, object], failed: bool) -> None:
        """Show what is known at the end, and close the connection."""
