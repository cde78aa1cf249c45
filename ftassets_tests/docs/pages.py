"""The Markdown pages of the repository, and the code that stands in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ftassets_tests import ROOT

COMMANDS = ("ftassets", "make", "python -m", "python3 -m", "curl", "dagster", "dg", "pip install", "docker", "kubectl")
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(?:{'|'.join(COMMANDS)}) ")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Snippet:
    """A fenced block, or inline code that is a command; `file` is the name a block's content has in the text after it."""

    page: str
    line: int
    language: str
    text: str
    inline: bool = False
    file: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README, everything below docs, and the pages on servers and on the example."""
    others = (ROOT / "deploy" / "README.md", ROOT / "examples" / "own_project" / "README.md")
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *others]


def snippets(path: Path) -> list[Snippet]:
    """All code of a page that somebody could try, in its order."""
    return list(_snippets(path.relative_to(ROOT).as_posix(), path.read_text()))


def is_command(text: str) -> bool:
    """Whether a line begins as a command of this project or of a tool it is used with."""
    return _COMMAND.match(text) is not None


def _snippets(page: str, text: str) -> Iterator[Snippet]:
    tokens = _MARKDOWN.parse(text)
    line = 0
    for token in tokens:
        line = token.map[0] + 1 if token.map else line
        if token.type in ("fence", "code_block"):
            language, _, file = token.info.strip().partition(" ")
            yield Snippet(page, line, language, token.content, file=file or None)
        elif token.type == "inline":
            yield from _inline(page, line, token)


def _inline(page: str, line: int, token: Token) -> Iterator[Snippet]:
    for child in token.children or []:
        if child.type == "softbreak":
            line += 1
        elif child.type == "code_inline" and is_command(child.content):
            yield Snippet(page, line, "bash", child.content, inline=True)
