"""Every name imported from this project exists, also in imports inside functions, in code within strings and in names of modules.

Nothing is imported here: sources are parsed, so an import that only runs with a server or a GPU is checked too.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ftassets", "ftassets_tests", "bench")
SOURCES = sorted(path for folder in (*PACKAGES, "docs", "examples") for path in (ROOT / folder).rglob("*.py"))
# a name of two parts may also be a logger or a key: it counts as a module only after `-m`
MODULE_NAME = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+){{2,}}(:\w+)?")
CODE = re.compile(rf"^\s*(from|import) ({'|'.join(PACKAGES)})\b", re.MULTILINE)
TEXTS = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("*.yaml"),
        ROOT / "Makefile",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*"),
        *(ROOT / "examples").rglob("*.md"),
    )  # fmt: skip
    if path.is_file() and path.name != "contributing.md"  # its recipes name files that somebody will add
)
FILE = re.compile(r"(?<![\w/.-])(?:ftassets|ftassets_tests|bench|docs|deploy|examples)/[\w./-]+\.(?:py|md|ya?ml|json|png)\b")
COMMAND = re.compile(r"-m ((?:ftassets|ftassets_tests|bench)[\w.]*)")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def file_of(module: str) -> Path | None:
    """The source of a module of this project, or the folder of a package without `__init__.py`."""
    place = ROOT.joinpath(*module.split("."))
    for found in (place.with_suffix(".py"), place / "__init__.py", place):
        if found.exists():
            return found
    return None


@cache
def names(module: str) -> frozenset[str] | None:
    """What a module binds outside of functions and classes; None if there is no such module."""
    path = file_of(module)
    if path is None:
        return None
    return frozenset(bound(tree(path))) if path.is_file() else frozenset()


def bound(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield child.name
        elif isinstance(child, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.split(".")[0] for alias in child.names)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        else:
            yield from bound(child)


def has(module: str, name: str) -> bool:
    return name in (names(module) or ()) or file_of(f"{module}.{name}") is not None


def wrong_imports(code: ast.AST) -> Iterator[str]:
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in PACKAGES and file_of(alias.name) is None:
                    yield f"line {node.lineno}: there is no module {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            if file_of(node.module) is None:
                yield f"line {node.lineno}: there is no module {node.module}"
                continue
            for alias in node.names:
                if not has(node.module, alias.name):
                    yield f"line {node.lineno}: {node.module} has no {alias.name}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from wrong_text(node.value, node.lineno)
        elif isinstance(node, (ast.List, ast.Tuple, ast.Call)):
            yield from wrong_command(node.args if isinstance(node, ast.Call) else node.elts)


def wrong_text(text: str, line: int) -> Iterator[str]:
    if MODULE_NAME.fullmatch(text):
        place, _, attribute = text.partition(":")
        if not exists(place) or (attribute and not has(place, attribute)):
            yield f"line {line}: {text} is neither a module nor a name in one"
    elif CODE.search(text):
        try:
            code = ast.parse(text)
        except SyntaxError:  # a part of a text, as in a message
            return
        yield from (f"line {line}, in a string: {each}" for each in wrong_imports(code))


def wrong_command(words: list[ast.expr]) -> Iterator[str]:
    """Modules after `-m` in the words of a command that `python -m` would not find."""
    for word, after in pairwise(words):
        if isinstance(word, ast.Constant) and word.value == "-m" and isinstance(after, ast.Constant):
            module = str(after.value)
            if module.split(".")[0] in PACKAGES and not runs(module):
                yield f"line {after.lineno}: python -m {module} finds nothing to run"


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module or a name in one."""
    module, _, name = dotted.rpartition(".")
    return file_of(dotted) is not None or (file_of(module) is not None and has(module, name))


def test_every_import_of_ours_resolves() -> None:
    assert len(SOURCES) > 500
    here = Path(__file__).resolve()  # holds wrong ones on purpose
    found = [f"{path.relative_to(ROOT)}, {each}" for path in SOURCES if path != here for each in wrong_imports(tree(path))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    from ftassets.resources.signer import Ed25519Signer",
        "def f():\n    from ftassets.config.home import House",
        "import ftassets.training",
        "CODE = '''\nfrom ftassets.domain.drift import no_such_statistic\n'''",
        "run('-m', 'ftassets.training')",
        "patch('ftassets.workers.process.no_such_function')",
        "LAZY = 'ftassets.config.loop:NoSuchConfig'",
    ],
)
def test_a_wrong_one_is_found(code: str) -> None:
    assert list(wrong_imports(ast.parse(code)))


def test_files_and_modules_named_in_texts_exist() -> None:
    found = []
    for path in TEXTS:
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: there is no {name}" for name in FILE.findall(text) if not (ROOT / name).exists()]
        found += [f"{path.relative_to(ROOT)}: there is no module {name}" for name in COMMAND.findall(text) if not runs(name.rstrip("."))]
    assert not found, "\n".join(found)


def runs(module: str) -> bool:
    """Whether `python -m MODULE` finds something to run."""
    path = file_of(module)
    return path is not None and (path.name != "__init__.py" and path.is_file() or file_of(f"{module}.__main__") is not None)
