"""Processes of their own for what needs a model in memory, and the one way to start and follow them."""
