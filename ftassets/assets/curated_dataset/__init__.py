"""The training set of a loop, curated and committed."""
