"""What is wrong with a loop before it runs: pure functions of its file and rows, for `ftassets check`."""
