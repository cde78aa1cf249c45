"""The pages of `docs/` that are made from the code: `python -m ftassets.docs` writes them, with `--check` it says which are out of date."""
