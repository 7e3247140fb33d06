"""The Edit tab: a take is opened, a region locked, a keyframe set, the rest made anew; then a motion from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from talker.formats import write_live_link_csv
from talker.motion import ARKIT_INDEX, LIP_REGION, UPPER_FACE_REGION, Motion
from talker.takes import load_takes
from tests.browser.page import choose, download, fill, set_takes, upload

pytestmark = pytest.mark.timeout(1800)  # of which most is the software renderer's on a busy machine


@pytest.fixture(scope="module")
def workbench(browser, visit, example_clip, tmp_path_factory) -> Iterator[tuple[Page, Motion]]:
    """The Edit tab with the only take of a run on it, and that take."""
    page = visit(browser)
    upload(page, example_clip)
    set_takes(page, 1)
    page.locator("#generate").click()
    page.locator("#matched .name").wait_for()
    path = download(page, "#files", "takes.npz", tmp_path_factory.mktemp("take"))
    page.locator("#edit-takes").click()
    page.locator("#pose img").wait_for()
    yield page, load_takes(path).motions[0]
    page.context.close()


@pytest.fixture(scope="module")
def edited(workbench, tmp_path_factory) -> tuple[Motion, Motion]:
    """The take, and what became of it: lips locked over the first second, brows raised in a keyframe at 1.50 s."""
    page, before = workbench
    fill(page, "#lock-end", "1.0")
    page.locator("#set-lock").click()
    expect(page.locator("#timeline .lock")).to_have_text("Lips and jaw")
    fill(page, "#time", "1.5")
    expect(page.locator("#jawOpen input[type=number]")).to_have_value(
        f"{before.coefficients[45, ARKIT_INDEX['jawOpen']]:.2f}".rstrip("0").rstrip(".")
    )
    fill(page, "#browInnerUp", "0.95")
    page.locator("#set-keyframe").click()
    expect(page.locator("#marks")).to_contain_text("1.50 s: Inner brows up 0.95")
    page.locator("#regenerate").click()
    page.locator("#edit-timing b").wait_for()
    path = download(page, "#edit-files", "takes.npz", tmp_path_factory.mktemp("edit"))
    return before, load_takes(path).motions[0]


def test_what_is_given_comes_back_and_the_rest_is_new(edited):
    before, after = edited
    lips = np.s_[:31, LIP_REGION]
    np.testing.assert_array_equal(after.coefficients[lips], before.coefficients[lips])
    assert after.coefficients[45, ARKIT_INDEX["browInnerUp"]] == np.float32(0.95)
    changed = np.abs(after.coefficients - before.coefficients)
    assert changed[:, UPPER_FACE_REGION].max() > 0.05 and changed[60:, LIP_REGION].max() > 0.01


def test_before_and_after_are_shown(workbench, edited):
    page, _ = workbench
    page.wait_for_function("document.querySelector('#edited video').readyState >= 1")
    assert page.locator("#edited video").evaluate("v => v.videoWidth") == 1280
    assert page.locator("#edit-chart img").evaluate("image => image.naturalHeight") > 400
    page.locator("#timeline .timeline").click(position={"x": 5, "y": 30})
    expect(page.locator("#time input[type=number]")).to_have_value("0.02")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})


def test_a_contradiction_gets_a_sentence_and_nothing_is_lost(workbench, edited):
    """The whole face is locked where a keyframe wants the brows elsewhere."""
    page, _ = workbench
    choose(page, "#region", "Upper face")
    fill(page, "#lock-end", "2.0")
    page.locator("#set-lock").click()
    expect(page.locator("#timeline .lock")).to_have_count(2)
    page.locator("#regenerate").click()
    message = page.get_by_test_id("toast-text")
    expect(message).to_contain_text("A keyframe at 1.50 s sets browInnerUp to 0.95, where it is locked at")
    expect(page.locator("#timeline .keyframe")).to_have_count(1)
    assert page.locator("#edited video").count() == 1


def test_a_motion_from_elsewhere_is_opened_with_its_speech(workbench, edited, example_clip, tmp_path):
    """Recorded at 60 frames a second; one of another length is refused and what was open stays."""
    page, before = workbench
    twice = Motion(before.coefficients.repeat(2, axis=0), before.head.repeat(2, axis=0), 60)
    good = write_live_link_csv(twice, tmp_path / "phone.csv")
    bad = write_live_link_csv(Motion(twice.coefficients[:60], twice.head[:60], 60), tmp_path / "short.csv")
    page.locator("#own-motion button").first.click()
    page.set_input_files("#edit-speech input[type=file]", example_clip)
    page.locator("#edit-speech").get_by_label("Clear").wait_for()
    page.set_input_files("#edit-motion input[type=file]", bad)
    page.locator("#edit-motion").get_by_text("short").first.wait_for()
    page.locator("#open-motion").click()
    expect(page.get_by_text("short.csv lasts 1.00 s at 60 frames a second, but its speech")).to_be_visible()
    expect(page.locator("#motion input")).to_have_value("Take 1")
    page.locator("#edit-motion").get_by_label("Clear").click()
    page.set_input_files("#edit-motion input[type=file]", good)
    page.locator("#edit-motion").get_by_text("phone").first.wait_for()
    page.locator("#open-motion").click()
    expect(page.locator("#motion input")).to_have_value(Path(good).name)
