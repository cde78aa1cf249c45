"""The data model names every file a home has, and every stored kind of document."""

import re
from pathlib import Path

import pytest

from ftassets.docs.pages import TABLES, with_tables
from ftassets.domain.formats import KINDS
from ftassets_tests import ROOT

PAGE = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")


def file_patterns() -> list[re.Pattern[str]]:
    """Of each path in the table of files: a word in capitals stands for one part of a name, `**` for everything below."""
    section = PAGE.split("## Files of the home")[1].split("\n## ")[0]
    paths = [path for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE) for path in re.findall(r"`([^`]+)`", row)]
    return [re.compile(re.sub(r"\b[A-Z]{3,}\b", "[^/]+?", re.escape(path).replace(r"\*\*", ".*"))) for path in paths]


def undocumented(home: Path) -> list[str]:
    """Files of a home that the page does not name, without those of a write that is under way."""
    patterns = file_patterns()
    found = (path.relative_to(home).as_posix() for path in sorted(home.rglob("*")) if path.is_file())
    return [name for name in found if not any(pattern.fullmatch(name) for pattern in patterns)]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("reports/voice/eval-" + "a" * 64 + ".json", True),
        ("versions/" + "b" * 64 + "/merged/config.json", True),
        ("datasets.git/objects/00/11", True),
        ("traffic.db", True),
        ("traffic.db.old", False),
        ("reports/voice/other-" + "a" * 64 + ".json", False),
        ("gateway/voice/state.json", False),
        ("notes.txt", False),
    ],
)
def test_patterns_of_the_page(tmp_path: Path, name: str, known: bool) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert undocumented(tmp_path) == ([] if known else [name])


def test_every_kind_of_document_is_in_the_table() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.split("<!-- table: formats -->")[1].split("<!-- end of table -->")[0], re.MULTILINE)
    assert listed == list(KINDS)


def test_a_table_in_a_page_is_written_anew_and_the_rest_stays() -> None:
    text = "before\n<!-- table: formats -->\nold\n<!-- end of table -->\nafter"
    made = with_tables(text)
    assert made == f"before\n<!-- table: formats -->\n{TABLES['formats']()}\n<!-- end of table -->\nafter"
    assert with_tables(made) == made
    with pytest.raises(KeyError, match="moon"):
        with_tables("<!-- table: moon -->\n<!-- end of table -->")
