"""`docs/cli.md`: every command with its arguments and options, from the command line itself."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ftassets.cli.main import app
from ftassets.reporting.tables import markdown_table

_TYPES = {int: "integer", float: "number", Path: "path"}
_INTRO = """\
Every command of the command line. `make docs` writes this page from the commands themselves: do not edit it.

Commands work on the home that `FTASSETS_HOME` names. They find loops in the folder of `--loops` (or `FTASSETS_LOOPS`),
else in the Dagster project of the working directory, else where `ftassets up` last found them. A command that cannot do
what it was asked says why in one sentence on standard error and ends with exit code 1; wrong usage ends with 2. With
`--json` the result is JSON on standard output. `--help` after any command prints the same text as this page.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Full name and command (of a class of typer's own), in the order in which the help lists them."""
    yield from _below("ftassets", typer.main.get_command(app))


def page() -> str:
    """The page."""
    found = list(commands())
    overview = [(f"[{name}](#{name.replace(' ', '-')})", _first(command)) for name, command in found]
    parts = ["# Commands\n", _INTRO, markdown_table(["command", "what it does"], overview), ""]
    for name, command in found:
        parts += [f"## {name}\n", textwrap.fill(" ".join((command.help or "").split()), 120), ""]
        if rows := [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]:
            parts += [markdown_table(["argument or option", "type", "default", "meaning"], rows), ""]
    return "\n".join(parts).rstrip() + "\n"


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None or command.params:  # a group with options of its own, such as --version
        yield name, command
    if below is None:
        return
    for each, inner in below.items():
        yield from _below(f"{name} {each}", inner)


def _first(command: Any) -> str:
    return " ".join((command.help or "").split()).split(". ")[0].removesuffix(".") + "."


def _row(parameter: Any) -> tuple[str, str, str, str]:
    """Name, type, default and meaning of an argument or option."""
    is_argument = parameter.param_type_name == "argument"
    if is_argument:
        name = f"`{(parameter.metavar or parameter.name).upper()}`"
    else:
        name = ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))
    kind = "flag" if getattr(parameter, "is_flag", False) else _TYPES.get(parameter.type_descriptor.annotation, "text")
    if parameter.multiple:
        kind += ", may be repeated"
    default = "required" if parameter.required else _default(parameter)
    return name, kind, default, " ".join((parameter.help or "").split())


def _default(parameter: Any) -> str:
    value = parameter.default
    if callable(value) or value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`"
