"""Language models that score or compare answers."""
