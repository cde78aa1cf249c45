"""Months of a loop in minutes: simulated traffic through the real sensor, reports and stores."""
