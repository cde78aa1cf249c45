from ftassets.cli.common import show_table

LONG = "a-loop-with-a-name-that-is-longer-than-a-terminal-is-wide-which-nobody-forbids-and-somebody-has"


def test_a_table_in_a_file_is_as_wide_as_it_needs(capsys):
    show_table(("loop", "phase"), [(LONG, "steady"), ("[bold]", "canary")])
    said = capsys.readouterr().out
    assert f" {LONG} " in said
    assert " [bold] " in said


def test_a_narrow_terminal_wraps_cells_and_cuts_nothing(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    show_table(("loop", "phase"), [(LONG, "steady")])
    said = capsys.readouterr().out
    assert LONG in "".join(line.split("│")[1].strip() for line in said.splitlines() if "│" in line)
