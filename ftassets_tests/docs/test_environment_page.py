"""Every environment variable that the sources name is on the page, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ftassets.docs.environment_page import VARIABLES
from ftassets_tests import ROOT

DOCUMENTED = {each.name for variables in VARIABLES.values() for each in variables}
# read or set, but of no interest to a person: of the shell, or handed through
LEFT_OUT = {
    "HOME", "PATH", "HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_DISABLE_PROGRESS_BARS",
    "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK", "MPLCONFIGDIR", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS", "PYTHONUNBUFFERED",
    "TOKENIZERS_PARALLELISM", "TORCHDYNAMO_DISABLE",
}  # fmt: skip
OURS = re.compile(r"(FTASSETS|LAKEFS|QDRANT|MLFLOW)_[A-Z_]+")


def read_in(path: Path) -> Iterator[str]:
    """Names of variables in `os.environ[...]`, `.get(...)`, `.setdefault(...)` of a file, and constants that look like ours."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OURS.fullmatch(node.value):
            yield node.value
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript):
            key, of = node.slice, node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "setdefault") and node.args:
            key, of = node.args[0], node.func.value
        if key is not None and ast.unparse(of) in ("os.environ", "self._environ") and isinstance(key, ast.Constant):
            yield str(key.value)


def named() -> set[str]:
    paths = [*(ROOT / "ftassets").rglob("*.py"), *(ROOT / "bench").glob("*.py"), *(ROOT / "ftassets_tests").rglob("conftest.py")]
    paths += [*(ROOT / "ftassets_tests" / "contract").glob("*.py")]
    return {name for path in paths if path.parent != ROOT / "ftassets" / "docs" for name in read_in(path)}


def test_every_variable_the_sources_read_is_documented() -> None:
    assert sorted(named() - DOCUMENTED - LEFT_OUT) == []


def test_every_documented_variable_is_read() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "ftassets").rglob("*.py") if path.name != "environment_page.py")
    text += "\n".join(path.read_text() for folder in ("bench", "ftassets_tests") for path in (ROOT / folder).rglob("*.py"))
    assert sorted(name for name in DOCUMENTED if name not in text) == []
