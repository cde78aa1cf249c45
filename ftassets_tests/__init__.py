"""Tests, in the folders of what they test; `contract/` runs one suite on every backend, `e2e/` whole loops."""

from pathlib import Path

ROOT = Path(__file__).parents[1]  # of the checkout
