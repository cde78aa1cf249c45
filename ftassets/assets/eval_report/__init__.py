"""Candidate, production and untuned base on the same rows, and the promotion gates."""
