"""Takes the pictures of the README from a running UI: `make ui` in one terminal, `.venv/bin/python docs/screenshots.py` in another."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

LOOP = "voice_commands"
PAGES = {
    "lineage": (f"/locations/ftassets/asset-groups/{LOOP}/lineage", "endpoint", (1500, 900)),
    "eval_report": (f"/assets/{LOOP}/eval_report?view=overview", "worse_than_production", (1500, 1000)),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one PNG for each page into this folder; all pages when none is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", choices=[[], *PAGES], help=f"{' or '.join(PAGES)}; without any, all of them")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="address of the UI (default %(default)s)")
    options = parser.parse_args(arguments)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in options.pages or PAGES:
            path, text, (width, height) = PAGES[name]
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(options.url + path)
            page.get_by_text(text).first.wait_for(timeout=60_000)
            page.wait_for_timeout(3000)
            page.screenshot(path=Path(__file__).parent / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
