"""The notes of a loop's rollbacks, one Markdown file each, named by the number in the journal."""

from ftassets.backends.control.base import Control

FOLDER = "incidents"
_NOTE = ".md"


def noted(control: Control, loop: str) -> frozenset[int]:
    """Numbers of the transitions that have a note. Raises OSError."""
    names = (name.removesuffix(_NOTE) for name in control.names(f"{FOLDER}/{loop}") if name.endswith(_NOTE))
    return frozenset(int(name) for name in names if name.isdecimal())


def write_note(control: Control, loop: str, number: int, note: str) -> None:
    """Keep the note of a transition. Raises OSError."""
    control.write(_key(loop, number), note.encode())


def note_uri(control: Control, loop: str, number: int) -> str:
    """Where people find it."""
    return control.uri(_key(loop, number))


def _key(loop: str, number: int) -> str:
    return f"{FOLDER}/{loop}/{number}{_NOTE}"
