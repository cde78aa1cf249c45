"""Where requests, answers and feedback are recorded."""
