"""What a trigger waits for is kept, and a damaged document is made anew."""

import logging
from pathlib import Path

import pytest

from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.waiting import read_waiting, write_waiting
from ftassets.domain.formats import NewerFormat
from ftassets.domain.waiting import Waiting

FOUND = Waiting(trigger="drift", cause="few_labels", reason="5 of 200", since=1.0, seen=2.0, told=True, tried_at=2.0)


def test_it_is_kept_by_loop_until_it_is_over(tmp_path: Path) -> None:
    control = FilesControl(tmp_path)
    write_waiting(control, "support", FOUND)
    assert (read_waiting(control, "support"), read_waiting(control, "other")) == (FOUND, None)
    write_waiting(control, "support", None)
    write_waiting(control, "support", None)
    assert read_waiting(control, "support") is None


def test_a_damaged_document_counts_as_none_and_a_newer_one_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    control = FilesControl(tmp_path)
    for content in (b"", b"{", b'{"trigger": 1}'):
        control.write("waiting/support.json", content)
        with caplog.at_level(logging.WARNING):
            assert read_waiting(control, "support") is None
    assert "is made anew" in caplog.text
    control.write("waiting/support.json", b'{"format": 9}')
    with pytest.raises(NewerFormat, match="format 9"):
        read_waiting(control, "support")
