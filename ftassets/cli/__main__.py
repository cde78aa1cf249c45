"""`python -m ftassets.cli`."""

from ftassets.entry import command_line

if __name__ == "__main__":
    command_line()
