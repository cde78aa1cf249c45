"""The table of environment variables says what the sources read and set."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from ftassets.config.environment import TABLE, unread
from ftassets.config.profiles import VARIABLES
from ftassets.workers.process import LIBRARY_SETTINGS
from ftassets_tests import ROOT

NAMES = {variable.name for variable in TABLE}
OURS = re.compile(r"\b(?:FTASSETS|LAKEFS|QDRANT|MLFLOW)_[A-Z][A-Z_]*[A-Z]\b")

# names that are not fixed: a person writes them into a loop file or gives them to a command
BY_PEOPLE = {
    ("backends/model_client/external.py", "model.api_key_env"),
    ("backends/model_client/openai.py", "name"),
    ("cli/commands/embedders.py", "name"),
    ("backends/notifier/routing.py", "name"),
    ("config/loop_file_check.py", "name"),
    ("config/loop_files.py", "name"),
}
FROM_TABLES = {
    ("cli/backups.py", "name"),
    ("drill/copied_loop.py", "name"),
    ("processes/up.py", "name"),
    ("cli/commands/doctor.py", "variable"),
    ("config/profiles.py", "name"),
    ("workers/process.py", "name"),
    ("workers/training/ray_worker.py", "name"),
}
# what any program has, and what a test double gives to a process it plays
SYSTEM = {"PATH", "HOME", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_NO_USAGE_STATS"}


def sources() -> Iterator[Path]:
    return (path for path in sorted((ROOT / "ftassets").rglob("*.py")) if path.name != "environment.py" or path.parent.name != "config")


def uses() -> Iterator[tuple[str, str, str | None]]:
    """(file, expression, name if it is fixed) of everything that is read from or written to the environment."""
    for path in sorted((ROOT / "ftassets").rglob("*.py")):
        file = path.relative_to(ROOT / "ftassets").as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            key = _key(node)
            if key is not None:
                yield file, ast.unparse(key), _name(path, key)
            if isinstance(node, ast.AugAssign) and isinstance(node.value, ast.Dict) and _is_environment(node.target):
                for each in node.value.keys:
                    assert each is not None
                    yield file, ast.unparse(each), _name(path, each)


def _key(node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.Subscript) and _is_environment(node.value):
        return node.slice
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "setdefault", "pop"):
        return node.args[0] if _is_environment(node.func.value) else None
    return None


def _is_environment(node: ast.expr) -> bool:
    """`os.environ`, an attribute that holds it, or what psutil says of another process."""
    return ast.unparse(node) in ("os.environ", "self._environ", "process.environ()")


def _name(path: Path, key: ast.expr) -> str | None:
    if isinstance(key, ast.Constant):
        return str(key.value)
    if isinstance(key, ast.Name) and key.id.isupper():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        return str(getattr(importlib.import_module(module), key.id))
    return None


def test_every_variable_the_package_uses_is_in_the_table() -> None:
    found = list(uses())
    assert len(found) > 30
    assert {name for _, _, name in found if name is not None} - NAMES == SYSTEM
    assert {(file, expression) for file, expression, name in found if name is None} == BY_PEOPLE | FROM_TABLES


def test_every_name_of_ours_in_the_sources_is_in_the_table() -> None:
    text = "\n".join(path.read_text() for path in sources())
    assert set(OURS.findall(text)) - NAMES == set()


def test_every_row_of_the_table_is_used_and_says_what_it_means() -> None:
    text = "\n".join(
        path.read_text()
        for path in [
            *sources(),
            ROOT / "dagster.yaml",
            *(ROOT / "bench").glob("*.py"),
            *(ROOT / "ftassets_tests" / "contract").glob("*.py"),
        ]
    )
    by_libraries = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}  # in deploy/README.md
    assert {name for name in NAMES if name not in text} == by_libraries
    assert len(NAMES) == len(TABLE)
    assert all(variable.meaning.endswith(".") and variable.read_by for variable in TABLE)


def test_what_a_profile_needs_and_what_libraries_are_given_is_in_the_table() -> None:
    assert LIBRARY_SETTINGS.keys() <= NAMES
    assert {name for profile in VARIABLES.values() for names in profile.values() for name in names} <= NAMES


def test_a_misspelt_variable_is_found() -> None:
    assert unread(["FTASSETS_HOEM", "FTASSETS_HOME", "PATH", "FTASSETS_ZZZ"]) == {"FTASSETS_HOEM": "FTASSETS_HOME", "FTASSETS_ZZZ": None}
