"""Words that mark the prose which readers have to translate, wherever a person reads: `python -m ftassets_tests.docs.plain_english`.

It prints every hit with file and line. `--write` brings `to_sweep.txt` up to date, the list of places that still have hits; the test
refuses a hit in any other place, and a place on the list that has none.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets_tests import ROOT
from ftassets_tests.docs.pages import pages

TO_SWEEP = Path(__file__).with_name("to_sweep.txt")

# word -> what to write instead
WORDS = {
    r"surely": "95 % lower or upper bound",
    r"(?:is|are) (?-i:none)(?! of\b)": "say what it should be",
    r"lies": "is",
    r"look(?:s|ed|ing)? at": "check, read, use",
    r"looks(?! for\b)": "checks, reports, ticks",
    r"(?:goes|gone|went) on": "continues, resumes",
    r"said": "wrote, reported, answered",
    r"beside": "next to, besides, as well as",
    r"people's say": "approvals",
    r"a yes": "approval",
    r"nobody": "no person, no annotator",
    r"for good": "permanently",
    r"(?:share|traffic)[\w ]* any ?more": "cannot receive more traffic",
    r"sure bounds?": "95 % bound",
    r"owes": "has in flight",
    r"(?<!a worker )(?:is|are) told": "receives, is notified",
    r"says so": "reports it, states it",
    r"cry wolf": "alert without a cause",
    r"(?<!there )is no (?!worse\b|evidence\b|longer\b|more\b)\w+": "is not a",
}
_PATTERN = re.compile("|".join(rf"\b{word}\b" for word in WORDS), re.I)


@dataclass(frozen=True)
class Hit:
    """A word of the list: the place (a file, or `help`, `schema`, `definitions`), its line or name, the word and its sentence."""

    place: str
    where: str
    word: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}:{self.where}: {self.word!r} in {self.text[:160]!r}"


def hits() -> list[Hit]:
    """Every hit in pages, messages, docstrings, help, field descriptions and what the Dagster UI shows."""
    return [*page_hits(), *message_hits(), *docstring_hits(), *help_hits(), *schema_hits(), *definition_hits()]


def found(place: str, where: str, text: str) -> Iterator[Hit]:
    """Hits in a text."""
    for match in _PATTERN.finditer(text):
        yield Hit(place, where, match[0], " ".join(text.split()))


def page_hits() -> Iterator[Hit]:
    """README, docs and deploy: prose and tables, not the code in them."""
    for page in pages():
        code = False
        for number, line in enumerate(page.read_text().splitlines(), start=1):
            code ^= line.lstrip().startswith("```")
            if not code:
                yield from found(_relative(page), str(number), re.sub(r"`[^`]*`", "`", line))


def message_hits() -> Iterator[Hit]:
    """String literals of the package that hold a sentence: errors, reasons, alerts, metadata. For docstrings, see `docstring_hits`."""
    for path in sorted((ROOT / "ftassets").rglob("*.py")):
        tree = ast.parse(path.read_text())
        documented = {id(node.body[0].value) for node in ast.walk(tree) if _has_docstring(node)}  # type: ignore[attr-defined]
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = _text(node) if id(node) not in documented | inside else None
            if text and " " in text.strip():
                yield from found(_relative(path), str(node.lineno), text)  # type: ignore[attr-defined]


def docstring_hits() -> Iterator[Hit]:
    """Docstrings of the package's modules, classes and functions, without the code in them."""
    for path in sorted((ROOT / "ftassets").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if _has_docstring(node):
                text = node.body[0].value.value  # type: ignore[attr-defined]
                yield from found(_relative(path), str(node.body[0].lineno), re.sub(r"`[^`]*`", "`", text))  # type: ignore[attr-defined]


def help_hits() -> Iterator[Hit]:
    """`--help` of every command."""
    import typer

    from ftassets.cli.main import app

    def walk(command: Any, name: str) -> Iterator[Hit]:
        texts = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
        for text in texts:
            yield from found("help", name, text)
        for child, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{name} {child}")

    yield from walk(typer.main.get_command(app), "ftassets")


def schema_hits() -> Iterator[Hit]:
    """Descriptions in the JSON schema of a loop file."""
    from ftassets.config.loop import LoopConfig

    def walk(node: Any, path: str) -> Iterator[Hit]:
        if isinstance(node, dict):
            if isinstance(node.get("description"), str):
                yield from found("schema", path, node["description"])
            for key, value in node.items():
                yield from walk(value, f"{path}.{key}" if key not in ("properties", "$defs") else path)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value, path)

    yield from walk(LoopConfig.model_json_schema(), "loop")


def definition_hits() -> Iterator[Hit]:
    """Descriptions of assets, checks, jobs, schedules and sensors of the loops in the package."""
    import dagster as dg

    from ftassets.components.fine_tune_loop import build_loop
    from ftassets.components.resources import resources
    from ftassets.config.loop_files import LOOPS, read_loops

    for loop in read_loops(LOOPS).values():
        made = dg.Definitions.merge(build_loop(loop), dg.Definitions(resources=resources()))
        graph = made.resolve_asset_graph()
        for key in graph.get_all_asset_keys():
            yield from found("definitions", key.to_user_string(), graph.get(key).description or "")
        for check in graph.asset_check_keys:
            yield from found("definitions", str(check.name), graph.get_check_spec(check).description or "")
        for kind in (made.jobs, made.schedules, made.sensors):
            for each in kind or []:
                yield from found("definitions", each.name, getattr(each, "description", None) or "")


def to_sweep() -> set[str]:
    """Places that still have hits and wait for their sweep."""
    return {line for line in TO_SWEEP.read_text().splitlines() if line and not line.startswith("#")}


def _has_docstring(node: ast.AST) -> bool:
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    return documented and ast.get_docstring(node, clean=False) is not None  # type: ignore[arg-type]


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
    return None


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def main() -> None:
    """Print the hits, and write the list of places if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", help="only these files, or help, schema, definitions")
    parser.add_argument("--write", action="store_true", help="bring to_sweep.txt up to date")
    asked = parser.parse_args()
    all_hits = hits()
    shown = [hit for hit in all_hits if not asked.places or hit.place in asked.places]
    for hit in shown:
        print(hit)
    print(f"{len(shown)} hits in {len({hit.place for hit in shown})} places")
    if asked.write:
        places = sorted({hit.place for hit in all_hits})
        TO_SWEEP.write_text(
            "# places whose sentences are still to be rewritten; the list only shrinks\n" + "".join(f"{p}\n" for p in places)
        )


if __name__ == "__main__":
    main()
