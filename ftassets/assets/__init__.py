"""The assets of a loop, one file or folder a node; `graph` puts them together. What they share can be imported without Dagster."""
