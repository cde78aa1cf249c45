"""Drift of the last window against what production knows."""
