"""Take the README's picture of the page: run `make demo`, then `.venv/bin/python docs/make_page.py`.

    python docs/make_page.py [URL]        writes docs/page.png
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]
PATIENCE = 600_000
PICTURE = Path(__file__).with_name("page.png")


def take(url: str, picture: Path = PICTURE) -> None:
    """Animate the first example clip on the page at `url` and photograph what it shows."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1130})
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        page.get_by_role("button", name="Bumblebees").click()
        page.locator("#speech").get_by_label("Clear").wait_for()
        page.locator("#generate").click()
        page.locator("#viewer canvas").wait_for()
        # The middle of the sentence: mouths are open, takes differ.
        page.locator("#comparison video").evaluate("v => { v.pause(); v.currentTime = 0.45 * v.duration }")
        # The 3D view is an even grey until its engine has compiled the shaders.
        while np.asarray(Image.open(io.BytesIO(page.locator("#viewer canvas").screenshot())).convert("L")).std() < 10:
            page.wait_for_timeout(1000)
        page.wait_for_timeout(2000)  # the camera settles
        page.mouse.move(0, 0)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7860")
    print(PICTURE)
