"""A larger model that writes examples."""

from abc import ABC, abstractmethod

from ftassets.errors import FtassetsError


class TeacherError(FtassetsError):
    """The teacher does not answer; the message says why and what to do, and never contains the key."""


class TeacherRefused(TeacherError):
    """The teacher answered with a refusal."""


class Teacher(ABC):
    """One model behind one endpoint."""

    @abstractmethod
    def ask(self, prompt: str) -> str:
        """The answer to a prompt. Raises TeacherRefused, TeacherError."""
