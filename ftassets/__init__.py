"""ftassets closes the loop from production traffic to a fine-tuned model that is still good, as a Dagster asset graph."""

__version__ = "0.1.0"
