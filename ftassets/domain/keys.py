"""Names under which things are stored: relative paths that no backend can read as a way out of its place."""

import re

from ftassets.errors import InvalidInput

LONGEST = 400  # characters
LONGEST_PART = 200  # characters; a file system takes 255 bytes, and backends add to a name for unfinished files and locks
LOCK = ".lock"  # end of the names of backends' lock files
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+=-]*")


def checked(key: str) -> str:
    """The key, for example `reports/support/eval-1f3a.json`, if it is one.

    Raises InvalidInput for an absolute path, an empty part, `..`, a part that begins with a dot (backends keep unfinished files under such
    names) or ends with `.lock` (the lock of another name), characters that a file system or an object store may read as something else,
    more than `LONGEST` characters, and more than `LONGEST_PART` in one part.
    """
    if len(key) > LONGEST or not all(map(is_part, key.split("/"))):
        raise InvalidInput(
            f"{key[:80]!r} cannot be the name of a stored thing: write parts of letters, digits and _ . @ + = - with / between them, "
            f"none beginning with a dot or ending with {LOCK}, at most {LONGEST_PART} characters in each and {LONGEST} in all"
        )
    return key


def is_part(part: str) -> bool:
    """Whether it can be one part of a key: a backend lists no other names, which are its own or a stray file's."""
    return len(part) <= LONGEST_PART and not part.lower().endswith(LOCK) and _PART.fullmatch(part) is not None
