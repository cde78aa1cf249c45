"""Finders of people's names in text."""
