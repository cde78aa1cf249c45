"""Requests with their answers and feedback, and imports of other systems' logs."""
