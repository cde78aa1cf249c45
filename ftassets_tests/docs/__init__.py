"""The pages a person reads: every command and snippet in them is run, every name in them exists, and they are plain English."""
