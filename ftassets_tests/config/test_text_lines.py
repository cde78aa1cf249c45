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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_any_unicode_encoding_is_read(tmp_path: Path, encoding: str, packed: bool) -> None:
    path = tmp_path / "rows.jsonl"
    text = '{"a": "ä 你\u2028 \U0001f600"}\n{"b": 1}\r\n\n{"c": 2}'
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if packed else content)
    lines = [line.removeprefix(b"\xef\xbb\xbf") for line in lines_of(path)]
    assert b"".join(lines).decode() == text
    assert [line.endswith(b"\n") for line in lines] == [True, True, True, False]


def test_half_a_surrogate_pair_spoils_its_line_only_and_a_cut_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes("a\n\ud800\nb\n".encode("utf-16", "surrogatepass"))
    lines = list(lines_of(path))
    assert (lines[0], lines[2]) == (b"a\n", b"b\n")
    with pytest.raises(UnicodeDecodeError):
        lines[1].decode()
    path.write_bytes("ab\n".encode("utf-16")[:-1])
    with pytest.raises(NotUtf8, match="is UTF-16 text and damaged"):
        list(lines_of(path))


def test_a_damaged_gzip_file_is_told_as_such(tmp_path: Path) -> None:
    whole = gzip.compress(TEXT.encode() * 1000)
    for content in (whole[:-9], whole[:30] + b"\xff" * 9 + whole[39:], whole[:2] + b"xxxx"):
        (tmp_path / "rows.gz").write_bytes(content)
        with pytest.raises(NotUtf8, match="rows.gz is damaged"):
            list(lines_of(tmp_path / "rows.gz"))
