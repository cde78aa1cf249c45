"""A drill: faults injected into a throw-away copy of a loop, and whether each guard holds."""
