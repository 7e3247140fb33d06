"""A visitor's way through the page: upload or record, generate, look, download; and what errors say."""

from __future__ import annotations

import io
import time
from urllib.parse import urlparse

import av
import numpy as np
import pygltflib
import pytest
import soundfile
from PIL import Image
from playwright.sync_api import Page, expect

from talker.audio import SAMPLE_RATE, Speech, load_speech
from talker.formats import read_motion
from talker.motion import ARKIT_NAMES, FPS
from talker.takes import load_takes
from tests.browser.page import add_voice, choose, generate, generate_and_read_error, set_takes, upload
from tests.browser.server import PATIENCE

pytestmark = pytest.mark.timeout(1200)  # of which most is the software renderer's on a busy machine

TAKES = 2


def difference(a: bytes, b: bytes) -> float:
    """Mean absolute difference of two screenshots, 0 to 255."""
    first, second = (np.asarray(Image.open(io.BytesIO(x)).convert("RGB"), float) for x in (a, b))
    return np.abs(first - second).mean()


@pytest.fixture(scope="module")
def uploaded(browser, visit, recording) -> Page:
    """The page after a real recording was uploaded and animated."""
    page = visit(browser)
    upload(page, recording)
    set_takes(page, TAKES)
    generate(page)
    return page


@pytest.fixture(scope="module")
def speech(recording) -> Speech:
    return load_speech(recording)


def test_the_matched_identity_is_shown_with_similarities(uploaded):
    name = uploaded.locator("#matched .name").inner_text()
    rows = uploaded.locator("#matched .row")
    shown = [row.inner_text().split() for row in rows.all()]
    similarities = [float(row[-1]) for row in shown]
    assert name and name == shown[0][0]
    assert similarities == sorted(similarities, reverse=True)
    assert all(-1 <= similarity <= 1 for similarity in similarities)


def test_timing_says_what_was_made(uploaded, speech):
    expect(uploaded.locator("#timing")).to_contain_text(f"{TAKES} takes of {speech.frames() / FPS:.1f} s")
    expect(uploaded.locator("#timing")).to_contain_text("sample")


def test_the_video_plays_and_lasts_as_long_as_the_speech(uploaded, speech):
    video = uploaded.locator("#comparison video")
    video.evaluate("v => { v.pause(); v.muted = true; v.loop = true; v.currentTime = 0 }")
    uploaded.wait_for_function("document.querySelector('#comparison video').readyState >= 3")
    assert video.evaluate("v => v.duration") == pytest.approx(speech.seconds, abs=0.2)
    assert video.evaluate("v => v.videoWidth > v.videoHeight / 2 && v.videoHeight > 200")
    video.evaluate("v => v.play()")
    uploaded.wait_for_function("document.querySelector('#comparison video').currentTime > 0.3")


def test_pixels_of_the_video_move(uploaded):
    """Frames a third of the speech apart differ where faces are; a frame does not differ from itself."""
    grab = """async (v, [at]) => {
        v.pause();
        v.currentTime = at * v.duration;
        await new Promise(done => v.addEventListener('seeked', done, {once: true}));
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [320, 320 * v.videoHeight / v.videoWidth];
        const context = canvas.getContext('2d');
        context.drawImage(v, 0, 0, canvas.width, canvas.height);
        return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 == 1));
    }"""
    video = uploaded.locator("#comparison video")
    frames = [np.array(video.evaluate(grab, [at]), float) for at in (0.2, 0.5, 0.8, 0.2)]
    assert frames[0].std() > 10  # a picture, no even colour
    moved = [np.abs(frames[0] - frame).mean() for frame in frames[1:]]
    assert moved[2] < 0.05 and min(moved[:2]) > 5 * moved[2] and max(moved) > 0.1


def test_the_3d_view_shows_heads_that_move(uploaded):
    canvas = uploaded.locator("#viewer canvas")
    canvas.scroll_into_view_if_needed()
    deadline = time.monotonic() + 120
    while np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("L"), float).std() < 10:
        assert time.monotonic() < deadline, "the 3D view stays empty"
        uploaded.wait_for_timeout(500)
    uploaded.wait_for_timeout(2000)  # the camera settles
    first = canvas.screenshot()
    shots = []
    for _ in range(5):
        uploaded.wait_for_timeout(700)
        shots.append(difference(first, canvas.screenshot()))
    assert max(shots) > 0.1


def test_every_download_opens(uploaded, speech, tmp_path):
    """The files on the page: both programs' formats read back, GLB and MP4 parsed by other libraries."""
    links = uploaded.locator("#files a[download]")
    paths = {}
    for link in links.all():
        with uploaded.expect_download() as download:
            link.click()
        paths[download.value.suggested_filename] = tmp_path / download.value.suggested_filename
        download.value.save_as(paths[download.value.suggested_filename])
    numbered = {f"take-{i + 1}.{suffix}" for i in range(TAKES) for suffix in ("csv", "glb", "json")}
    assert set(paths) == numbered | {
        "comparison.mp4", "comparison.glb", "takes.npz", "chart.png", "report.json",
    }  # fmt: skip

    takes = load_takes(paths["takes.npz"])
    assert takes.coefficients.shape == (TAKES, speech.frames(), 52)
    for i, motion in enumerate(takes.motions):
        from_csv = read_motion(paths[f"take-{i + 1}.csv"])
        np.testing.assert_array_equal(from_csv.coefficients, motion.coefficients)
        np.testing.assert_array_equal(from_csv.head, motion.head)
    for name, heads in {"comparison.glb": TAKES, "take-1.glb": 1}.items():
        scene = pygltflib.GLTF2().load(str(paths[name]))
        assert len(scene.meshes) == heads and len(scene.animations) == 1
        names = scene.meshes[0].extras["targetNames"]
        assert tuple(names[:52]) == ARKIT_NAMES and len(scene.meshes[0].primitives[0].targets) == len(names)
    with av.open(str(paths["comparison.mp4"])) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert sum(1 for _ in container.decode(video)) == speech.frames()
    assert Image.open(paths["chart.png"]).size[0] > 400


def test_the_page_asks_no_other_host(uploaded, app_url):
    hosts = {urlparse(url).netloc for url in uploaded.requested if url.startswith("http")}
    assert hosts == {urlparse(app_url).netloc}


def test_a_second_run_replaces_the_first(uploaded, example_clip):
    """Another recording on the same page: new video, new duration, and the 3D view still there."""
    first = uploaded.locator("#comparison video").get_attribute("src")
    uploaded.locator("#speech").get_by_label("Clear").click()
    upload(uploaded, example_clip)
    set_takes(uploaded, 1)
    uploaded.locator("#generate").click()
    seconds = load_speech(example_clip).frames() / FPS
    expect(uploaded.locator("#timing")).to_contain_text(f"1 take of {seconds:.1f} s", timeout=PATIENCE)
    assert uploaded.locator("#comparison video").get_attribute("src") != first
    uploaded.locator("#viewer canvas").wait_for()


def test_results_fit_a_phone(uploaded):
    uploaded.set_viewport_size({"width": 390, "height": 844})
    uploaded.wait_for_timeout(1000)
    assert uploaded.evaluate("document.documentElement.scrollWidth") <= 390
    video, viewer = (uploaded.locator(place).bounding_box() for place in ("#comparison video", "#viewer canvas"))
    assert viewer["y"] > video["y"] + video["height"]  # one column
    assert max(video["width"], viewer["width"]) <= 390


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
