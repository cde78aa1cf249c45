"""The process between users and model versions: routing, recording, feedback, its own admin API."""
