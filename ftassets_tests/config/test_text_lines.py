"""Files as people hand them over: packed, in another encoding, damaged."""

import gzip
from pathlib import Path

import pytest

from ftassets.config.text_lines import NotUtf8, lines_of

TEXT = "ä\nb\n"


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_those_of_the_text(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(TEXT.encode()) if packed else TEXT.encode())
    assert list(lines_of(path)) == ["ä\n".encode(), b"b\n"]
    path.write_bytes(gzip.compress(b"") if packed else b"")
    assert list(lines_of(path)) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_another_unicode_encoding_is_named_with_the_command_that_converts_it(tmp_path: Path, encoding: str, packed: bool) -> None:
    path = tmp_path / "rows.jsonl"
    content = '{"a": 1}\n'.encode(encoding)
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(
        NotUtf8, match=rf"is {encoding[:6].upper()}.* text\. Convert it: iconv -f UTF-\S+ -t UTF-8 rows.jsonl > new_rows.jsonl"
    ):
        list(lines_of(path))


def test_a_damaged_gzip_file_is_told_as_such(tmp_path: Path) -> None:
    whole = gzip.compress(TEXT.encode() * 1000)
    for content in (whole[:-9], whole[:30] + b"\xff" * 9 + whole[39:], whole[:2] + b"xxxx"):
        (tmp_path / "rows.gz").write_bytes(content)
        with pytest.raises(NotUtf8, match="rows.gz is damaged"):
            list(lines_of(tmp_path / "rows.gz"))
