"""`docs/environment.md`: every environment variable that the package reads or sets, from `config/environment.py`."""

import re

from ftassets.config.environment import TABLE
from ftassets.reporting.tables import markdown_table

_INTRO = """\
`make docs` writes this page: do not edit it. A loop file may name further variables: for keys and URLs that are secrets
(fields that end in `_env`), and with `{{ env.NAME }}` for any value. The process that uses the value needs the variable: the
gateway for the key of an adopted endpoint, Dagster's processes for teachers, judges and alerts.
"""
TITLES = {
    "setting": "Settings",
    "server": "Servers of the profiles production and kubernetes",
    "secret": "Secrets",
    "library": "Libraries: ftassets sets a default, which you may replace",
    "internal": "Set by ftassets for the processes it starts",
    "test": "Tests and measurements",
}


def page() -> str:
    """The page."""
    parts = ["# Environment variables\n", _INTRO]
    for kind, title in TITLES.items():
        rows = [
            (f"`{each.name}`", _plain(each.meaning), _plain(each.default) or "none", _plain(each.read_by))
            for each in TABLE
            if each.kind == kind
        ]
        parts += [f"## {title}\n", markdown_table(["variable", "meaning", "when it is not set", "read by"], rows), ""]
    return "\n".join(parts).rstrip() + "\n"


def _plain(text: str) -> str:
    """Text without code marks: a command in it is a name here, not something to try."""
    return re.sub(r"`(ftassets[^`]*)`", r"\1", text)
