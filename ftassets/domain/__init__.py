"""Decisions as pure functions, without I/O: one folder for each stage of the loop."""
