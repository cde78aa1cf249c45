"""`python -m ftassets.docs [--check] [FOLDER]`: write the pages that are made from the code, or say which are out of date."""

import argparse
import sys
from pathlib import Path

from ftassets.docs.pages import stale, write
from ftassets.exits import guarded


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 when `--check` finds a page that is out of date."""
    parser = argparse.ArgumentParser(prog="python -m ftassets.docs", description="Write the pages of docs/ that are made from the code.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs"))
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 when a page is out of date")
    args = parser.parse_args(arguments)
    if not args.folder.is_dir():
        parser.error(f"there is no folder {args.folder}: run this in the checkout, or name the folder")
    if args.check:
        names = stale(args.folder)
        print(f"out of date: {', '.join(names)}; run `make docs`" if names else "all pages are up to date")
        return 1 if names else 0
    names = write(args.folder)
    print(f"written: {', '.join(names)}" if names else "all pages were up to date")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
