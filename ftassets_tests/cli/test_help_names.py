"""Help texts that list names list those of the tables: the tables themselves would slow each command down by 0.2 s."""

from collections.abc import Iterable

import pytest
import typer

from ftassets.cli.main import app
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
