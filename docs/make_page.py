"""Take pictures of the page, for README and docs: run `make demo`, then this.

    .venv/bin/python docs/make_page.py [URL]        writes docs/page.png and docs/page-edit.png
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]
PATIENCE = 600_000
SPOKEN, EDITED = (Path(__file__).with_name(name) for name in ("page.png", "page-edit.png"))


def take(url: str) -> None:
    """Animate the first example clip on the page at `url`, edit its first take, and photograph both."""
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
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=SPOKEN)
        edit(page)
        below = page.locator("#edited").bounding_box()
        height = page.evaluate("scrollY") + below["y"] + below["height"] + 16
        page.screenshot(path=EDITED, full_page=True, clip={"x": 0, "y": 0, "width": 1280, "height": height})
        browser.close()


def edit(page: Page) -> None:
    """Lock the lips over the first second, keep the end, smile with raised brows at 2 s, and make the rest anew."""

    def fill(place: str, value: float) -> None:
        box = page.locator(f"{place} input[type=number]")
        box.fill(str(value))
        box.blur()

    page.locator("#edit-takes").click()
    page.locator("#pose img").wait_for()
    fill("#lock-end", 1)
    page.locator("#set-lock").click()
    page.locator("#timeline .lock").wait_for()
    fill("#keep-last", 15)
    page.locator("#timeline .kept").wait_for()
    fill("#time", 2)
    expect(page.locator("#timeline .timeline")).not_to_have_attribute("style", re.compile(r"--at: 0\.00"))
    for place, value in (("#mouthSmileLeft", 0.8), ("#browInnerUp", 0.9)):
        fill(place, value)
    page.locator("#set-keyframe").click()
    page.locator("#timeline .keyframe").wait_for()
    page.locator("#regenerate").click()
    page.locator("#edit-timing b").wait_for()
    page.wait_for_function("document.querySelector('#edited video').readyState >= 3")
    page.locator("#edited video").evaluate("v => { v.pause(); v.currentTime = 2 }")
    page.wait_for_timeout(3000)  # the picture of the pose follows the sliders


if __name__ == "__main__":
    take(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7860")
    print(SPOKEN, EDITED)
