"""Promotion gates: what a report must show before a candidate may be released."""
