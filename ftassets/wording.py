"""Numbers in sentences."""


def amount(number: int, one: str, many: str | None = None) -> str:
    """The number with its noun: 1 row, 2 rows, 1,000 queries. The noun may bring its verb; `many` defaults to `one` with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
