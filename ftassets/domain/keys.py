"""Names under which things are stored: relative paths that no backend can read as a way out of its place."""

import re

from ftassets.errors import InvalidInput

LONGEST = 400  # characters
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+=-]*")


def checked(key: str) -> str:
    """The key, for example `reports/support/eval-1f3a.json`, if it is one.

    Raises InvalidInput for an absolute path, an empty part, `..`, a part that begins with a dot (backends keep unfinished files under such
    names), characters that a file system or an object store may read as something else, and more than `LONGEST` characters.
    """
    if len(key) > LONGEST or not all(_PART.fullmatch(part) for part in key.split("/")):
        raise InvalidInput(
            f"{key[:80]!r} cannot be the name of a stored thing: write parts of letters, digits and _ . @ + = - with / between them, "
            f"none beginning with a dot, {LONGEST} characters at most"
        )
    return key
