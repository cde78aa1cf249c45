"""Texts for benchmarks, made from a seed."""
