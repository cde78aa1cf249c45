"""Where alerts are sent."""
