"""A larger model that writes examples."""

from abc import ABC, abstractmethod

from ftassets.errors import FtassetsError


class TeacherError(FtassetsError):
    """The teacher could not be asked; the message says why and what to do, never with the key."""


class TeacherRefused(TeacherError):
    """The teacher answered, and would not do it."""


class Teacher(ABC):
    """One model behind one endpoint."""

    @abstractmethod
    def ask(self, prompt: str) -> str:
        """The answer to a prompt. Raises TeacherRefused, TeacherError."""
