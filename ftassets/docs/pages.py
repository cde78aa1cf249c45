"""Which page is made by which function. A page is Markdown text; making one reads no home and starts nothing."""

from collections.abc import Callable
from pathlib import Path

from ftassets.docs import cli_page, environment_page, http_api_page, loop_file_page

PAGES: dict[str, Callable[[], str]] = {
    "loop-file.md": loop_file_page.page,
    "http-api.md": http_api_page.page,
    "cli.md": cli_page.page,
    "environment.md": environment_page.page,
}


def stale(folder: Path) -> list[str]:
    """Names of the pages that are missing in `folder` or differ from what the code says now."""
    return [name for name, make in PAGES.items() if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != make()]


def write(folder: Path) -> list[str]:
    """Write the pages that are out of date; returns their names. Raises OSError."""
    names = stale(folder)
    for name in names:
        (folder / name).write_text(PAGES[name](), encoding="utf-8")
    return names
