"""Where embedded requests are stored."""
