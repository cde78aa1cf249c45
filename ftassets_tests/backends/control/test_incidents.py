from pathlib import Path

from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.incidents import note_uri, noted, write_note


def test_a_note_is_known_by_its_number(tmp_path: Path) -> None:
    control = FilesControl(tmp_path)
    assert noted(control, "support") == frozenset()
    write_note(control, "support", 12, "# what happened\n")
    control.write("incidents/support/mine.md", b"a note of a person")
    assert noted(control, "support") == frozenset({12})
    assert Path(note_uri(control, "support", 12)).read_text() == "# what happened\n"
