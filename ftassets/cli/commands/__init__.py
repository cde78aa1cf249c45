"""What the command line does, one module a command, without the terminal."""
