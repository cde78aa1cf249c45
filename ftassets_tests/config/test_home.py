"""The folders of a home have one access path each: the capabilities, whose backends alone know that they are folders."""

import re

from ftassets_tests import ROOT

KEPT_BY_CAPABILITIES = (
    r"\bhome\.(versions|reports|answers|releases|pauses)\b|\.root / \"(versions|reports|answers|releases|pauses|alerts)\""
)
MAY = {
    "config/home.py",
    "processes/backup.py",  # copies a home as it is, whatever it is that the folders hold
    # damage a home on purpose, as a person or a disk would
    "drill/bad_versions.py",
    "drill/killable_gateway.py",
    "drill/lost_stores.py",
}


def test_nobody_goes_past_artifacts_and_control() -> None:
    package = ROOT / "ftassets"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(KEPT_BY_CAPABILITIES, path.read_text()) and not path.is_relative_to(package / "testing")
    }
    assert found - MAY == set()
