"""Larger models that write examples."""
