"""Other models: the controls follow the choice, a style comes from a file, guidance changes what is made."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from talker.formats import write_live_link_csv
from talker.motion import Motion
from talker.takes import load_takes
from talker.pipeline import Talker
from tests.browser.page import choose, download, fill, set_takes, upload

pytestmark = pytest.mark.timeout(1800)  # of which most is the software renderer's on a busy machine


@pytest.fixture
def page(browser, visit):
    """The page with all models that ship."""
    page = visit(browser)
    yield page
    page.context.close()


def made(page, folder) -> Motion:
    """Press Generate, wait until a run that starts now is through, and give its only take."""
    video = page.locator("#comparison video")
    before = video.get_attribute("src") if video.count() else ""
    page.locator("#generate").click()
    expect(video).not_to_have_attribute("src", before)
    page.locator("#viewer canvas").wait_for()
    folder.mkdir()
    return load_takes(download(page, "#files", "takes.npz", folder)).motions[0]


def test_a_style_by_example_and_its_guidance(page, example_clip, rng, tmp_path):
    """Of the default model identities are shown, of one with styles these and both guidances."""
    expect(page.locator("#identity")).to_be_visible()
    expect(page.locator("#style")).to_be_hidden()
    choose(page, "#model", "diffposetalk")
    expect(page.locator("#style")).to_be_visible()
    expect(page.locator("#identity")).to_be_hidden()
    page.locator("#sampling button").first.click()
    expect(page.locator("#style-guidance")).to_be_visible()

    upload(page, example_clip)
    set_takes(page, 1)
    name, line = list(Talker.from_pretrained("diffposetalk").styles.items())[-1]
    choose(page, "#style", f"{name}: {line}")
    named = made(page, tmp_path / "named")
    someone = Motion(rng.random((60, 52), np.float32), np.zeros((60, 3), np.float32))
    page.locator("#style-by-example button").first.click()
    page.set_input_files("#example input[type=file]", write_live_link_csv(someone, tmp_path / "someone.csv"))
    page.locator("#example").get_by_text("someone").first.wait_for()
    shown = made(page, tmp_path / "shown")
    assert not np.array_equal(named.coefficients, shown.coefficients)
    fill(page, "#style-guidance", "4")
    strong = made(page, tmp_path / "strong")
    assert not np.array_equal(strong.coefficients, shown.coefficients)

    choose(page, "#model", "3diface")
    expect(page.locator("#style")).to_be_hidden()
    expect(page.locator("#head")).to_be_hidden()
    expect(page.locator("#audio-guidance input[type=number]")).to_have_value("0.5")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
