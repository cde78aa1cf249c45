"""Help texts that list names list those of the tables: the tables themselves would slow each command down by 0.2 s."""

from collections.abc import Iterable

import pytest
import typer

from ftassets.cli.main import app
from ftassets.config.starter import BASE_MODEL, STARTERS
from ftassets.domain.dataset import labelling
from ftassets.domain.traffic import imports


def listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}."


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (("import-traffic",), imports.FORMATS),
        (("adopt",), imports.FORMATS),
        (("label", "export"), labelling.FORMATS),
        (("label", "import"), labelling.FORMATS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_help_of_format_names_all_formats(command: tuple[str, ...], names: Iterable[str]) -> None:
    found = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]  # type: ignore[attr-defined]
    [option] = [each for each in found.params if each.name == "format"]
    assert option.help == listed(names)  # type: ignore[attr-defined]
    assert option.default in names


def test_the_help_of_init_names_all_tasks_and_its_defaults_are_those_of_the_files() -> None:
    init = typer.main.get_command(app).commands["init"]  # type: ignore[attr-defined]
    options = {each.name: each for each in init.params}
    assert options["task"].help == f"Form of an answer: {listed(STARTERS)}"
    assert options["task"].default in STARTERS
    assert options["base_model"].default == BASE_MODEL
