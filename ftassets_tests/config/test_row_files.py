"""Reading files of examples."""

import gzip
from pathlib import Path

import pytest

from ftassets.config.row_files import RowsUnreadable, read_rows

LINE = '{"instruction": "ä", "response": "ö"}\n'


def test_rows_are_read_with_or_without_byte_order_mark(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "rows").write_text("\n" + LINE if encoding == "utf-8" else LINE, encoding=encoding)
        found = read_rows(tmp_path / "rows", "seed")
        assert [row.prompt for row in found.rows] == ["ä"]


def test_a_byte_that_is_no_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(LINE.encode() + b"\n" + LINE.encode("latin-1"))
    with pytest.raises(RowsUnreadable, match=r"not UTF-8 text \(line 3, byte 58\)") as raised:
        read_rows(tmp_path / "rows", "golden")
    assert raised.value.line == 3


def test_a_line_of_the_seed_that_is_no_utf8_takes_no_other_with_it(tmp_path: Path) -> None:
    for end in ("", "]"):
        begin, between = ("[", ",\n") if end else ("", "")
        parts = [begin.encode() + LINE.encode(), LINE.encode("latin-1"), LINE.replace("ä", "ü").encode() + end.encode()]
        (tmp_path / "rows").write_bytes(between.encode().join(parts))
        found = read_rows(tmp_path / "rows", "seed")
        assert [row.prompt for row in found.rows] == ["ä", "ü"]
        assert [row.reason for row in found.rejected] == ["byte 18 is not UTF-8 text: save the file as UTF-8"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowsUnreadable, match="golden file .*nonesuch cannot be read: No such file"):
        read_rows(tmp_path / "nonesuch", "golden")


def test_packed_rows_arrays_and_other_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(f"[\n{LINE},\n{LINE.replace('ä', 'ö')}]".encode()))
    found = read_rows(path, "seed")
    assert ([row.prompt for row in found.rows], found.lines) == (["ä", "ö"], [2, 4])
    path.write_text(LINE, encoding="utf-16")
    assert [row.prompt for row in read_rows(path, "seed").rows] == ["ä"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RowsUnreadable, match="the seed file cannot be read: .* is UTF-16 text and damaged"):
        read_rows(path, "seed")
    path.write_text("[" + LINE)
    found = read_rows(path, "seed")
    assert [row.prompt for row in found.rows] == ["ä"]
    assert [(row.where, row.reason[:38]) for row in found.rejected] == [("seed:1", "line 1: the JSON array is cut off or d")]
    with pytest.raises(RowsUnreadable, match="the golden file .* cannot be read: line 1: the JSON .* at member 1: .* Mend") as of:
        read_rows(path, "golden")  # of rows that decide promotions none may be missing
    assert of.value.line == 1
