"""Keys that sign releases and approvals, and the keys that are trusted."""
