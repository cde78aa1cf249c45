"""Datasets under version control."""
