"""Names that people shorten: the one that begins so."""

from collections.abc import Iterable

from ftassets.errors import InvalidInput

_LISTED, _SHOWN = 10, 12  # names in a message, and characters of each


def the_one(beginning: str, names: Iterable[str], what: str, advice: str = "") -> str:
    """The one of the names that begins so, or is exactly so. Raises InvalidInput with the names there are.

    `what` says in the singular what they name, `advice` what to do if no name fits.
    """
    known = sorted(set(names))
    if beginning in known:
        return beginning
    found = [name for name in known if beginning and name.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(f"{beginning!r} begins {len(found)} names where one {what} is wanted: {_list(found)}; give more of it")
    there = f"there is {_list(known)}" if known else "nothing is stored"
    raise InvalidInput(f"{beginning!r} names no {what}; {there}{f': {advice}' if advice else ''}")


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    width = max(_SHOWN, 1 + max(_common(one, other) for one, other in zip(names, names[1:], strict=False))) if len(names) > 1 else _SHOWN
    return ", ".join(name[:width] for name in names[:_LISTED]) + more


def _common(one: str, other: str) -> int:
    """Length of what two names begin with in common: one character more tells them apart."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
