"""Makes docs/images/: `make pictures`.

Each is a page of the repository as a browser shows it, light, 1280 wide.

Needs a Chromium of the system (`apt-get install chromium`); nothing is fetched. A picture holds
the hash of its page, by which a test sees that it is of today's.
"""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image, PngImagePlugin

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, MARGIN = 1280, 24


class Picture(NamedTuple):
    """A page from its top to the end of its first element of a kind."""

    name: str
    page: str
    """From the repository's root."""
    down_to: str
    """CSS selector."""

    def digest(self) -> str:
        """Of the page, as the picture's text `page` has it."""
        return hashlib.sha256((ROOT / self.page).read_bytes()).hexdigest()


PICTURES = (Picture("report.png", "reports/capacity/report.html", "section:has(svg, img)"),)


def main() -> None:
    """Make all pictures."""
    browser_path = next(filter(None, map(shutil.which, NAMES)), None)
    if browser_path is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # PICTURES are read without it, too

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        browser = playwright.chromium.launch(executable_path=browser_path, args=options)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 900}, color_scheme="light", offline=True
        )
        for picture in PICTURES:
            page.goto((ROOT / picture.page).as_uri())
            box = page.locator(picture.down_to).first.bounding_box()
            if box is None:
                sys.exit(f"{picture.page} shows no {picture.down_to}")
            page.screenshot(
                path=IMAGES / picture.name,
                full_page=True,
                clip={"x": 0, "y": 0, "width": WIDTH, "height": box["y"] + box["height"] + MARGIN},
            )
            sign(picture)
        browser.close()


def sign(picture: Picture) -> None:
    """Write into the file which page it shows."""
    text = PngImagePlugin.PngInfo()
    text.add_text("page", picture.digest())
    with Image.open(IMAGES / picture.name) as image:
        image.save(IMAGES / picture.name, pnginfo=text, optimize=True)


if __name__ == "__main__":
    main()
