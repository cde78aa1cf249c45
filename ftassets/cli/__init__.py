"""The command line: one module a group of commands, in `commands/` what they do without the terminal.

For scripts: exit code 0 when done, 1 after an error, 2 for wrong usage. An error is one sentence on stderr (see `ftassets.exits`), with
and without `--json`. With `--json` a command that is done writes one JSON value to stdout, and one that ends with an error writes nothing
there; `doctor`, `verify`, `replay` and `keys list` write their finding and end with 1 when it is a bad one.
"""
