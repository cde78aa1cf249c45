"""The pages that are made from the code are up to date."""

from pathlib import Path

import pytest

from ftassets.docs.__main__ import main
from ftassets.docs.pages import PAGES, stale
from ftassets_tests import ROOT


def test_every_page_is_up_to_date() -> None:
    assert stale(ROOT / "docs") == [], "run: make docs"


def test_a_page_that_was_edited_is_named_and_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PAGES)
    (tmp_path / "cli.md").write_text("edited")
    assert main([str(tmp_path), "--check"]) == 1
    assert "out of date: cli.md" in capsys.readouterr().out
    assert (tmp_path / "cli.md").read_text() == "edited"
    assert main([str(tmp_path)]) == 0
    assert stale(tmp_path) == []


WRITTEN = ("architecture.md", "glossary.md", "data-model.md", "contributing.md", "README.md", *PAGES)


@pytest.mark.parametrize(
    "path", [*(ROOT / "docs" / name for name in WRITTEN), *(ROOT / "docs" / "decisions").glob("*.md")], ids=lambda path: path.name
)
def test_lines_of_prose_wrap_at_about_120(path: Path) -> None:
    inside = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        inside ^= line.startswith("```")
        assert inside or line.startswith("|") or len(line) <= 125, f"{path.name}:{number}: {len(line)} columns"


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = (path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
    assert [page for page in pages if page not in ("README.md", "spike.md") and f"]({page})" not in index] == []
