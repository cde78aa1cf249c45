"""The `ftassets` command."""

import typer

from ftassets.cli import data, gates, loops, releases, traffic, versions

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keep a fine-tuned model good in production.")
for group in (loops, traffic, data, gates, releases, versions):
    app.add_typer(group.app)


if __name__ == "__main__":
    app()
