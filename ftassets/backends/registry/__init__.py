"""Where training runs and released versions are listed."""
