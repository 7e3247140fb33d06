"""A visitor's own face: uploaded, animated, shown in the video and in the 3D view; or refused in one sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from playwright.sync_api import expect

from render.gltf import write_glb
from render.rig import LOOKS, load_look
from render.rigs.load import load_rig_file
from talker.audio import load_speech
from talker.motion import FPS, Motion
from tests.browser.page import generate, generate_and_read_error, set_takes, upload, upload_face

pytestmark = pytest.mark.timeout(1800)  # of which most is the software renderer's on a busy machine


@pytest.fixture(scope="module")
def ict_glb(ict_folder, tmp_path_factory) -> Path:
    """ICT-FaceKit as our own exporter writes it."""
    path = tmp_path_factory.mktemp("glb") / "ict.glb"
    still = Motion(np.zeros((2, 52), np.float32), np.zeros((2, 3), np.float32))
    write_glb(load_rig_file(ict_folder)[0], [still], path)
    return path


@pytest.fixture(scope="module")
def ict_zip(ict_folder, tmp_path_factory) -> Path:
    """ICT-FaceKit's folder of OBJs as a zip."""
    path = tmp_path_factory.mktemp("zip") / "ict.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(ict_folder.iterdir()):
            archive.write(file, f"{ict_folder.name}/{file.name}")
    return path


@pytest.mark.parametrize("kind", ["glb", "zip"])
def test_an_uploaded_face_speaks(browser, visit, example_clip, request, tmp_path, kind):
    """Both ways of giving ICT-FaceKit end in its own mesh, in the video and in the 3D view."""
    path = request.getfixturevalue(f"ict_{kind}")
    page = visit(browser)
    upload(page, example_clip)
    upload_face(page, path)
    set_takes(page, 1)
    generate(page)
    expect(page.locator("#timing")).to_contain_text("lacks tongueOut")
    video = page.locator("#comparison video")
    page.wait_for_function("document.querySelector('#comparison video').readyState >= 1")
    assert video.evaluate("v => v.duration") == pytest.approx(load_speech(example_clip).frames() / FPS, abs=0.2)

    links = {link.get_attribute("download"): link for link in page.locator("#files a[download]").all()}
    for name in ("take-1.glb", "report.json"):
        with page.expect_download() as download:
            links[name].click()
        download.value.save_as(tmp_path / name)
    scene = pygltflib.GLTF2().load(str(tmp_path / "take-1.glb"))
    own = load_rig_file(path)[0]
    assert scene.accessors[scene.meshes[0].primitives[0].attributes.POSITION].count == len(own.vertices) == 25959
    rig = json.loads((tmp_path / "report.json").read_text())["rig"]
    assert rig["shapes"] == 51 and rig["missing"] == ["tongueOut"] and rig["source"] in ("GLB", "ICT-FaceKit")
    page.context.close()


def test_a_look_is_chosen(browser, visit, example_clip, tmp_path):
    """The last of the three looks is the one in the files."""
    page = visit(browser)
    upload(page, example_clip)
    page.locator("#look").get_by_text(LOOKS[-1].capitalize()).click()
    set_takes(page, 1)
    generate(page)
    with page.expect_download() as download:
        page.locator("#files a[download='report.json']").click()
    download.value.save_as(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["rig"]["name"] == load_look(LOOKS[-1]).name
    page.context.close()


def test_a_letter_named_glb_gets_a_sentence(browser, visit, example_clip, tmp_path):
    (tmp_path / "letter.glb").write_text("Dear reader, this is no face.\n")
    page = visit(browser)
    upload(page, example_clip)
    upload_face(page, tmp_path / "letter.glb")
    message = generate_and_read_error(page)
    assert "letter.glb is no face that can be read; give a .glb with ARKit morph targets" in message
    page.context.close()
