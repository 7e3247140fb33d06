"""What a run leaves on the page: the voice that was matched, video, live 3D, files; and a second run after it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from urllib.parse import urlparse

import av
import numpy as np
import pygltflib
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from talker.audio import Speech, load_speech
from talker.formats import read_motion
from talker.motion import ARKIT_NAMES, FPS
from talker.takes import load_takes
from tests.browser.page import generate, set_takes, upload
from tests.browser.server import PATIENCE

pytestmark = pytest.mark.timeout(1200)  # of which most is the software renderer's on a busy machine

TAKES = 2


def difference(a: bytes, b: bytes) -> float:
    """Mean absolute difference of two screenshots, 0 to 255."""
    first, second = (np.asarray(Image.open(io.BytesIO(x)).convert("RGB"), float) for x in (a, b))
    return np.abs(first - second).mean()


@pytest.fixture(scope="module")
def uploaded(browser, visit, recording) -> Iterator[Page]:
    """The page after a real recording was uploaded and animated."""
    page = visit(browser)
    upload(page, recording)
    set_takes(page, TAKES)
    generate(page)
    yield page
    page.context.close()


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
    first, moved, shots = canvas.screenshot(), 0.0, 0
    while moved < 0.1:  # each picture takes the software renderer seconds
        assert shots < 5, "the heads stand still"
        uploaded.wait_for_timeout(700)
        moved, shots = difference(first, canvas.screenshot()), shots + 1


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
