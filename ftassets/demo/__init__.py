"""The demo: a voice assistant whose traffic drifts, told step by step on the screen."""
