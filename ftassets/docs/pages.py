"""Which page is made by which function. A page is Markdown text; making one reads no home and starts nothing."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ftassets.docs import cli_page, environment_page, file_formats_table, formats_table, http_api_page, loop_file_page

PAGES: dict[str, Callable[[], str]] = {
    "loop-file.md": loop_file_page.page,
    "http-api.md": http_api_page.page,
    "cli.md": cli_page.page,
    "environment.md": environment_page.page,
}
TABLES: dict[str, Callable[[], str]] = {  # in pages that people write, between two comments
    "formats": formats_table.table,
    "traffic_formats": file_formats_table.traffic,
    "label_formats": file_formats_table.labels,
    "row_formats": file_formats_table.rows,
    "export_formats": file_formats_table.exports,
}
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def stale(folder: Path) -> list[str]:
    """Names of the pages in `folder` that are missing or differ from what the code says now."""
    return [name for name, _ in _outdated(folder)]


def write(folder: Path) -> list[str]:
    """Write the pages that are out of date; returns their names. Raises OSError."""
    names = []
    for name, text in _outdated(folder):
        (folder / name).write_text(text, encoding="utf-8")
        names.append(name)
    return names


def with_tables(text: str) -> str:
    """A hand-written page with its tables updated from the code. Raises KeyError for a table without a generator."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def _outdated(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and right text of each page that is not right."""
    for name, make in PAGES.items():
        text = make()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            yield name, text
    for path in sorted(folder.glob("*.md")):
        known = path.read_text(encoding="utf-8")
        if path.name not in PAGES and (text := with_tables(known)) != known:
            yield path.name, text
