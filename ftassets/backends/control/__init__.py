"""What changes: where traffic goes and how it came about, pauses, signed statements, reviews, newest reports, alerts, waiting triggers."""
