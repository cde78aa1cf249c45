"""`python -m ftassets.cli`."""

from ftassets.cli.main import app

app()
