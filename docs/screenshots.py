"""Take the pictures of the README from a running UI: `make ui` in one terminal, `.venv/bin/python docs/screenshots.py` in another."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

LOOP = "voice_commands"
PAGES = {
    "lineage": (f"/locations/ftassets/asset-groups/{LOOP}/lineage", "endpoint", (1500, 900)),
    "eval_report": (f"/assets/{LOOP}/eval_report?view=overview", "worse_than_production", (1500, 1000)),
}


def main(url: str = "http://127.0.0.1:3000", *names: str) -> None:
    """One PNG a page, beside this file; all pages when none is named."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in names or PAGES:
            path, text, (width, height) = PAGES[name]
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(url + path)
            page.get_by_text(text).first.wait_for(timeout=60_000)
            page.wait_for_timeout(3000)
            page.screenshot(path=Path(__file__).parent / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
