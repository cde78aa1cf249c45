"""Short messages to people."""

from abc import ABC, abstractmethod


class Notifier(ABC):
    """One way to tell people something."""

    @abstractmethod
    def notify(self, loop: str, title: str, text: str, severity: str = "info") -> None:
        """Tell; severity is info, ticket or page. Never raises: a notice that fails is logged."""
