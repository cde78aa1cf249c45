"""Where models answer and metrics are computed."""
