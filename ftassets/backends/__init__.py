"""One folder for each capability: its interface in base.py, and one file for each technology."""
