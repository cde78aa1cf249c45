"""The one table of file formats: each entry has its module, and each module its entry."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from ftassets.domain.dataset import labelling, row_shapes
from ftassets.domain.file_formats import AUTO, EXPORTS, LABELS, ROWS, TRAFFIC, FileFormat
from ftassets.domain.traffic import imports


@pytest.mark.parametrize("each", [*TRAFFIC.values(), *LABELS.values(), *ROWS.values(), *EXPORTS.values()], ids=lambda each: each.tool)
def test_the_module_of_each_format_does_what_the_table_says(each: FileFormat) -> None:
    module, _, function = each.reader.partition(":")
    found = import_module(module)
    if function:
        assert each.out
        assert callable(getattr(found, function))
    elif each in TRAFFIC.values():
        assert callable(found.records)
        assert callable(found.parse)
        assert not each.out
    elif each in LABELS.values():
        assert callable(found.parse)
        assert callable(found.to_text) == each.out
    else:
        assert callable(found.turns_of)
    assert each.cannot_carry
    assert each.feedback


def test_every_module_that_reads_a_format_is_in_the_table() -> None:
    named = {each.reader.partition(":")[0] for table in (TRAFFIC, LABELS, ROWS) for each in table.values()}
    for package in (imports, labelling):
        modules = [f"{package.__name__}.{info.name}" for info in iter_modules(package.__path__)]
        assert {name for name in modules if hasattr(import_module(name), "parse")} <= named
    assert set(ROWS) == set(row_shapes._SHAPES)
    assert AUTO not in TRAFFIC
