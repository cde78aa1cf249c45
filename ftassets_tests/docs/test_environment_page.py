"""Every environment variable of the table is on the page, once."""

import re

from ftassets.config.environment import TABLE
from ftassets.docs.environment_page import TITLES, page


def test_every_variable_is_on_the_page_once() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \|", page(), re.MULTILINE)
    assert sorted(listed) == sorted(variable.name for variable in TABLE)
    assert {variable.kind for variable in TABLE} == TITLES.keys()
