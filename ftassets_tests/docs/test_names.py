"""What the pages name exists: files, links, sections, tests, and the figures' places."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ftassets_tests import ROOT
from ftassets_tests.docs.pages import pages

PAGES = pages()
# what a reader makes by following the page
NOT_OURS = {"deploy/.env"}
_PATH = re.compile(r"(?<![\w/.:-])((?:ftassets|ftassets_tests|bench|deploy|docs|examples)/[\w./-]*(?:\.\w+|/))(?![\w*{<])")


@cache
def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", title.lower().replace("`", "")).strip().replace(" ", "-") for title in titles}


@cache
def known_tests() -> set[str]:
    """Names of all test functions and classes, and files of tests as paths below ftassets_tests."""
    found: set[str] = set()
    for path in (ROOT / "ftassets_tests").rglob("*.py"):
        found |= set(re.findall(r"(?:def|class) ([Tt]est\w+)", path.read_text()))
    return found


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in headings(there)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = {path for path in _PATH.findall(page.read_text()) if not re.search(r"\b(?:test_)?[A-Z]{2,}", Path(path).name)}
    made = page.name == "contributing.md"  # its recipes add files to folders that are there
    missing = {path for path in named if not ((ROOT / path).parent if made else ROOT / path).exists()} - NOT_OURS
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_tests_that_are_named_are_there(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r"`(?:[\w/.]*(?:::|\.))?(test_\w+|Test[A-Z]\w+)`", text))
    assert named <= known_tests()
    files = set(re.findall(r"`((?:\w+/)*test_\w+\.py)`", text))
    files -= {file for file in files if re.search("[A-Z]{2,}", file)}  # names a reader chooses
    assert not {file for file in files if not any((folder / file).exists() for folder in (ROOT, ROOT / "ftassets_tests", page.parent))}


def long_lines() -> Iterator[str]:
    for page in PAGES:
        fence = False
        for number, line in enumerate(page.read_text().splitlines(), start=1):
            fence ^= line.lstrip().startswith("```")
            if len(line) > 130 and not fence and not line.startswith(("|", "#", "!")):
                yield f"{ids(page)}:{number}"


def test_prose_is_wrapped() -> None:
    assert not list(long_lines()), "wrap lines of prose at about 120 columns"


def test_the_readme_is_one_screen_and_a_bit() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert "make demo" in lines[9] + lines[10] + lines[11]
