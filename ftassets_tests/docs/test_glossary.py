"""A module name that occurs in several layers means one thing, which the glossary says; each term is there once."""

import re
from collections import Counter, defaultdict
from pathlib import Path

from ftassets_tests import ROOT

PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TERMS, NAMES = PAGE.split("## Names in more than one layer")
PACKAGE = ROOT / "ftassets"


def first_cells(text: str) -> list[str]:
    rows = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return [row.strip() for row in rows if row.strip() not in ("term", "name")]


def layers() -> dict[str, set[str]]:
    """Layers, the first folder below the package, in which a module or a package of a name is."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        if parts[:2] == ("testing", "contracts"):  # a suite is called as its capability
            continue
        if path.name == "__init__.py" and len(parts) > 1:
            found[parts[-2]].add(parts[0])
        elif path.stem not in ("__init__", "__main__", "base"):  # base.py says what every backend of its folder does
            found[path.stem].add(parts[0])
    return found


def test_every_name_in_several_layers_is_explained() -> None:
    shared = {name for name, where in layers().items() if len(where) > 1}
    assert len(shared) > 20
    assert sorted(shared) == sorted(first_cells(NAMES))


def test_the_places_named_exist() -> None:
    for row in re.findall(r"^\| \w+ \|[^|]*\|([^|]*)\|$", NAMES, re.MULTILINE):
        for place in re.findall(r"`([a-z_/]+)`", row):
            if not place.startswith(("backends/artifacts", "backends/control")):
                assert (PACKAGE / place).is_dir(), f"there is no folder ftassets/{place}"


def test_each_term_is_explained_once() -> None:
    terms = first_cells(TERMS)
    assert len(terms) > 80
    assert [term for term, count in Counter(term.lower() for term in terms).items() if count > 1] == []


def test_links_lead_to_pages_and_sections() -> None:
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            assert file.exists(), f"{page.relative_to(ROOT)}: {target} leads nowhere"
            if anchor:
                assert anchor in anchors(file), f"{page.relative_to(ROOT)}: {target} is no section"


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
