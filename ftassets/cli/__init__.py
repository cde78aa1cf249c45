"""The command line: one module a group of commands, in `commands/` what they do without the terminal."""
