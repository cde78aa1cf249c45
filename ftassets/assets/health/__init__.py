"""The health of a loop."""
