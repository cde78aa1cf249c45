"""The documentation says what the code says."""

from ftassets_tests import ROOT


def test_the_readme_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
