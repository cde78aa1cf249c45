"""What reports look like in the UI: plots, tables and trends, as Markdown."""
