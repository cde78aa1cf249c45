"""The documentation says what the code says."""

from ftassets.config.reference import SECTIONS, loop_file_page
from ftassets_tests import ROOT


def test_the_page_of_the_loop_file_is_up_to_date() -> None:
    assert (ROOT / "docs" / "loop-file.md").read_text() == loop_file_page(), "run: python -m ftassets.config.reference > docs/loop-file.md"


def test_every_nested_section_is_documented() -> None:
    documented = set(SECTIONS.values())
    for model in documented:
        for info in model.model_fields.values():
            nested = info.annotation
            assert not (isinstance(nested, type) and hasattr(nested, "model_fields")) or nested in documented


def test_the_readme_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
