"""How a loop is: what was observed, what of it needs a person, and which of that people have been told."""
