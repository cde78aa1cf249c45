"""Help texts that list names list those of the tables."""

import re
from collections.abc import Iterable

import pytest
import typer

from ftassets.cli.main import app
from ftassets.config.starter import BASE_MODEL, STARTERS
from ftassets.domain.file_formats import AUTO, LABELS, TRAFFIC, FileFormat


def listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}."


@pytest.mark.parametrize(
    ("command", "table"),
    [(("import-traffic",), TRAFFIC), (("adopt",), TRAFFIC), (("label", "export"), LABELS), (("label", "import"), LABELS)],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_help_of_format_names_all_formats(command: tuple[str, ...], table: dict[str, FileFormat]) -> None:
    found = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]  # type: ignore[attr-defined]
    [option] = [each for each in found.params if each.name == "format"]
    named = re.findall(r"\w+", option.help)  # type: ignore[attr-defined]
    assert set(table) <= set(named)
    assert option.default == (AUTO if table is TRAFFIC else "jsonl")


def test_the_help_of_init_names_all_tasks_and_its_defaults_are_those_of_the_files() -> None:
    init = typer.main.get_command(app).commands["init"]  # type: ignore[attr-defined]
    options = {each.name: each for each in init.params}
    assert options["task"].help == f"Form of an answer: {listed(STARTERS)}"
    assert options["task"].default in STARTERS
    assert options["base_model"].default == BASE_MODEL
