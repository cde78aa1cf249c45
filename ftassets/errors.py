"""Errors that a user can cause: each is a FtassetsError, and its message says what happened, why, and what to do next."""


class FtassetsError(Exception):
    """Root of all errors of this package. The command line shows its message and ends with exit code 1."""


class InvalidInput(FtassetsError, ValueError):
    """An argument, a file or a setting cannot be used; the message says what to change."""
