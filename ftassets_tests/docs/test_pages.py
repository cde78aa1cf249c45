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


@pytest.mark.parametrize("name", PAGES)
def test_lines_of_prose_wrap_at_120(name: str) -> None:
    inside = False
    for number, line in enumerate(PAGES[name]().splitlines(), start=1):
        inside ^= line.startswith("```")
        assert inside or line.startswith("|") or len(line) <= 125, f"docs/{name}:{number}: {len(line)} columns"
