"""A visitor's way through the page: upload or record, generate, look; and what errors say."""

from __future__ import annotations

import time

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from talker.audio import SAMPLE_RATE, load_speech
from tests.browser.page import add_voice, choose, generate, generate_and_read_error, set_takes, upload

pytestmark = pytest.mark.timeout(1200)  # of which most is the software renderer's on a busy machine


def test_pictures_of_another_view_and_size_with_stills(browser, visit, example_clip):
    """Two takes over each other, upright, with a still image among the files."""
    page = visit(browser)
    upload(page, example_clip)
    set_takes(page, 2)
    page.locator("#picture button").first.click()
    choose(page, "#view", "Two takes over each other")
    choose(page, "#size", "portrait-480p")
    page.locator("#stills textarea, #stills input").fill("0.3")
    generate(page)
    video = page.locator("#comparison video")
    page.wait_for_function("document.querySelector('#comparison video').readyState >= 1")
    assert video.evaluate("v => [v.videoWidth, v.videoHeight]") == [480, 854]
    names = [link.get_attribute("download") for link in page.locator("#files a[download]").all()]
    assert {"still-0.30.png", "comparison.mp4"} <= set(names)
    page.locator("#stills textarea, #stills input").fill("99")
    assert "the speech ends after" in generate_and_read_error(page)
    page.context.close()


def test_a_voice_is_added_for_one_visitor_and_blended(browser, visit, example_clip):
    """The recording becomes an identity, is chosen at once, speaks in a blend, and nobody else sees it."""
    page = visit(browser)
    upload(page, example_clip)
    page.locator("#identities button").first.click()
    add_voice(page, "Zoë")
    chosen = page.locator("#identity input")
    expect(chosen).to_have_value("Zoë")
    add_voice(page, "Zoë")
    message = page.get_by_test_id("toast-text")
    expect(message).to_contain_text("“Zoë” is enrolled already")
    partner = "espeak-f2"
    choose(page, "#partner", partner)
    page.locator("#share input[type=number]").fill("25")
    page.locator("#share input[type=number]").blur()
    set_takes(page, 1)
    generate(page)
    assert page.locator("#matched .name").inner_text() == f"Zoë 75%, {partner} 25%"
    assert page.locator("#matched .chosen").first.inner_text().split()[0] == "Zoë"
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()

    other = visit(browser)
    other.locator("#identity input").click()
    other.get_by_role("option", name=partner, exact=True).wait_for()
    assert other.get_by_role("option", name="Zoë", exact=True).count() == 0
    other.context.close()


def test_an_empty_page_fits_a_phone(browser, visit):
    page = visit(browser, width=390, height=844, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    speech, generate_button = (page.locator(place).bounding_box() for place in ("#speech", "#generate"))
    assert generate_button["y"] > speech["y"] + speech["height"]
    assert page.locator("#masthead .synthetic").is_visible()
    page.context.close()


def test_the_microphone_records(launch, visit, recording, tmp_path):
    """Chromium's fake microphone plays a recording in a loop; what the page records of it is animated."""
    wav = tmp_path / "microphone.wav"
    soundfile.write(wav, np.tile(load_speech(recording).samples, 3), SAMPLE_RATE, subtype="PCM_16")
    browser = launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={wav}",
    )
    page = visit(browser, permissions=["microphone"])
    page.locator("#speech").get_by_label("Record audio").click()
    started = time.monotonic()
    page.locator("#speech .record-button").click()
    page.wait_for_timeout(2500)
    page.locator("#speech .stop-button").click()
    longest = time.monotonic() - started
    page.locator("#speech audio, #speech #waveform").first.wait_for(state="attached")
    set_takes(page, 1)
    generate(page)
    timing = page.locator("#timing b").inner_text()
    seconds = float(timing.removeprefix("1 take of ").removesuffix(" s"))
    assert 1.0 < seconds < longest + 0.5
    browser.close()


def test_a_text_file_named_wav_gets_a_sentence(browser, visit, tmp_path):
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear reader, this is no sound.\n" * 40)
    page = visit(browser)
    page.set_input_files("#speech input[type=file]", letter)
    page.locator("#speech").get_by_label("Clear").wait_for()
    message = generate_and_read_error(page)
    assert "letter.wav is not a recording that can be read; give a wav, flac" in message
    assert "Traceback" not in message
    page.context.close()


def test_generate_without_speech_says_what_to_do(browser, visit):
    page = visit(browser)
    assert "record some, upload a file or choose an example" in generate_and_read_error(page)
    page.context.close()
