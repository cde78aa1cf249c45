"""The database server that several backends keep things in."""
