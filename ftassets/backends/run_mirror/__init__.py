"""Where trainings are shown besides the registry."""
