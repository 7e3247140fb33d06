"""Rigs from files: the same face in every spelling, unit, orientation and packing is the same rig."""

import base64
import dataclasses
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from render.gltf import write_glb
from render.rig import LOOKS, default_rig, lip_aperture, load_look
from render.rigs.load import find_rig, load_rig_file
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion
from tests.render.face_files import GlbMaker, write_objs

SHAPES = ("jawOpen", "jawForward", "mouthClose", "browInnerUp", "eyeBlinkLeft", "eyeBlinkRight")
ICT = {name: name.replace("Left", "_L").replace("Right", "_R") for name in SHAPES}


def assert_same_face(rig, face, atol=2e-6):
    """The same geometry and shapes, wherever it stands."""
    shift = rig.vertices[0] - face.vertices[0]
    np.testing.assert_allclose(rig.vertices - shift, face.vertices, atol=atol)
    np.testing.assert_allclose(rig.deltas, face.deltas, atol=atol)
    np.testing.assert_array_equal(np.sort(rig.faces), np.sort(face.faces))


def still(frames: int = 2) -> Motion:
    return Motion(np.zeros((frames, 52), np.float32), np.zeros((frames, 3), np.float32))


def test_an_obj_folder_is_a_rig(face, tmp_path):
    rig, report = load_rig_file(write_objs(face, tmp_path / "anna", ICT))
    assert_same_face(rig, face)
    assert (report.name, report.source, report.units) == ("anna", "OBJ", "metres")
    assert report.shapes == 6 and set(report.missing) == set(ARKIT_NAMES) - set(SHAPES)
    assert report.vertices == len(face.vertices) and report.triangles == len(face.faces)
    assert json.loads(json.dumps(report.as_dict()))["missing"] == list(report.missing)
    assert "missing and skipped: browDownLeft" in report.summary()


def test_a_zip_of_it_is_the_same_rig_and_nothing_is_unpacked(face, tmp_path):
    folder = write_objs(face, tmp_path / "in" / "anna", ICT)
    with zipfile.ZipFile(tmp_path / "anna.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, f"some/folder/{path.name}")
            archive.writestr(f"__MACOSX/some/folder/._{path.name}", b"not an OBJ")
        archive.writestr("some/readme.txt", "hello")
    shutil.rmtree(tmp_path / "in")
    rig, _ = load_rig_file(tmp_path / "anna.zip")
    assert_same_face(rig, face)
    assert [path.name for path in tmp_path.iterdir()] == ["anna.zip"]


@pytest.mark.parametrize(("units", "scale"), [("centimetres", 100), ("millimetres", 1000), ("no known unit, scaled to a head of 0.23 m", 7.3)])
def test_units_are_guessed_from_the_size_of_the_head(face, tmp_path, units, scale):
    rig, report = load_rig_file(write_objs(face, tmp_path / "anna", ICT, scale))
    assert report.units == units
    assert 0.15 < np.ptp(rig.vertices[:, 1]) < 0.35
    if "cent" in units or "milli" in units:
        assert_same_face(rig, face)


@pytest.mark.parametrize("axes", ["z up", "looks back", "looks down", "upside down"])
def test_a_face_is_turned_upright(face, tmp_path, axes):
    turn = {
        "z up": Rotation.from_euler("x", 90, degrees=True),
        "looks back": Rotation.from_euler("y", 180, degrees=True),
        "looks down": Rotation.from_euler("zx", (90, 90), degrees=True),
        "upside down": Rotation.from_euler("z", 180, degrees=True),
    }[axes].as_matrix()
    turned = dataclasses.replace(face, vertices=face.vertices @ turn.T, deltas=face.deltas @ turn.T)
    rig, report = load_rig_file(write_objs(turned, tmp_path / "anna", ICT))
    assert_same_face(rig, face, atol=1e-6)
    assert any("turned so that +Y is up" in note for note in report.notes)


def test_halves_of_a_shape_add_up(face, tmp_path):
    """browInnerUp_L and _R, as ICT-FaceKit has them, are ARKit's one browInnerUp."""
    folder = write_objs(face, tmp_path / "anna", ICT | {"browInnerUp": "browInnerUp_L"})
    shutil.copy(folder / "browInnerUp_L.obj", folder / "browInnerUp_R.obj")
    rig, _ = load_rig_file(folder)
    brow = ARKIT_INDEX["browInnerUp"]
    np.testing.assert_allclose(rig.deltas[brow], 2 * face.deltas[brow], atol=1e-6)


def test_quads_negative_indices_and_colours(tmp_path, face):
    folder = write_objs(face, tmp_path / "anna", ICT)
    for path in folder.iterdir():
        lines = path.read_text().splitlines()
        vertices = [f"{line} 1 0.5 0" for line in lines if line.startswith("v ")] + [f"v {x} 0.2 0 1 0.5 0" for x in (0, 0.01, 0.02, 0.03)]
        path.write_text("\n".join([*vertices, *(line for line in lines if line.startswith("f ")), "f -4 -3 -2 -1"]) + "\r\n")
    rig, _ = load_rig_file(folder)
    assert len(rig.faces) == len(face.faces) + 2
    n = len(face.vertices)
    assert rig.faces[-2:].tolist() == [[n, n + 1, n + 2], [n, n + 2, n + 3]]
    assert (rig.colors == (255, 128, 0, 255)).all()


@pytest.mark.parametrize("heads", [1, 3])
def test_our_own_glb_comes_back(heads, tmp_path):
    """The default head through its own export: shapes, colours, the neck's skin; of several heads one."""
    head = default_rig()
    write_glb(head, [still()] * heads, tmp_path / "head.glb")
    rig, report = load_rig_file(tmp_path / "head.glb")
    assert_same_face(rig, head)
    assert (report.source, report.shapes, report.missing) == ("GLB", 52, ())
    np.testing.assert_array_equal(rig.faces, head.faces)
    np.testing.assert_array_equal(rig.colors, head.colors)
    np.testing.assert_allclose(rig.head_weight, head.head_weight, atol=1e-6)
    np.testing.assert_allclose(rig.pivot - rig.vertices[0], head.pivot - head.vertices[0], atol=1e-6)


def test_a_glb_of_several_meshes_under_moved_nodes(face, tmp_path):
    """A mesh in centimetres below a node that scales and turns it, and eyes below another."""
    maker = GlbMaker()
    maker.mesh(face, {name: f"blendShape1.{name}" for name in SHAPES})
    maker.mesh(face, {"jawOpen": "JawOpen"})
    turn = Rotation.from_euler("x", -90, degrees=True)
    maker.json["scenes"] = [{"nodes": [0]}]
    maker.json["nodes"] = [
        {"children": [1, 2], "rotation": turn.as_quat().tolist(), "scale": [100, 100, 100]},
        {"mesh": 0},
        {"mesh": 1, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0.5, 1]},  # column by column
    ]
    (tmp_path / "two.glb").write_bytes(maker.bytes())
    rig, report = load_rig_file(tmp_path / "two.glb")
    n = len(face.vertices)
    assert len(rig.vertices) == 2 * n and report.units == "centimetres"
    away = rig.vertices[n:] - rig.vertices[:n]
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 0.5, atol=1e-5)
    np.testing.assert_allclose(rig.deltas[:, :n], face.deltas, atol=1e-6)
    jaw = ARKIT_INDEX["jawOpen"]
    np.testing.assert_allclose(rig.deltas[jaw, n:], face.deltas[jaw], atol=1e-6)


def test_quantised_positions_and_sparse_deltas(face, tmp_path):
    """KHR_mesh_quantization: normalised 16-bit positions in a box that the node scales back; sparse targets."""
    maker = GlbMaker()
    mesh = maker.mesh(face, {name: name for name in SHAPES})
    size = np.abs(face.vertices).max()
    maker.json["nodes"] = [{"mesh": 0, "scale": [float(size)] * 3}]
    short = np.round(face.vertices / size * 32767).astype(np.int16)
    padded = np.pad(short, ((0, 0), (0, 1)))  # rows of 8 bytes, of which 6 count
    maker.json["accessors"].append(
        {"bufferView": maker.view(padded, byteStride=8), "componentType": 5122, "count": len(short), "type": "VEC3", "normalized": True}
    )
    mesh["primitives"][0]["attributes"]["POSITION"] = len(maker.json["accessors"]) - 1
    for name, target in zip(SHAPES, mesh["primitives"][0]["targets"]):
        delta = (face.deltas[ARKIT_INDEX[name]] / size).astype(np.float32)
        rows = np.flatnonzero(delta.any(axis=1)).astype(np.uint16)
        maker.json["accessors"][target["POSITION"]] = {
            "componentType": 5126, "count": len(delta), "type": "VEC3",
            "sparse": {
                "count": len(rows),
                "indices": {"bufferView": maker.view(rows), "componentType": 5123},
                "values": {"bufferView": maker.view(delta[rows])},
            },
        }  # fmt: skip
    (tmp_path / "small.glb").write_bytes(maker.bytes())
    rig, _ = load_rig_file(tmp_path / "small.glb")
    assert_same_face(rig, face, atol=size / 32767)
    np.testing.assert_allclose(rig.deltas, face.deltas, atol=1e-7)


def test_a_gltf_with_its_data_inside(face, tmp_path):
    maker = GlbMaker()
    maker.mesh(face, ICT)
    uri = "data:application/octet-stream;base64," + base64.b64encode(maker.binary).decode()
    (tmp_path / "face.gltf").write_text(json.dumps(maker.json | {"buffers": [{"byteLength": len(maker.binary), "uri": uri}]}))
    rig, report = load_rig_file(tmp_path / "face.gltf")
    assert_same_face(rig, face)
    assert report.shapes == 6


def test_a_figure_is_cut_to_head_and_shoulders_and_its_head_joint_turns(face, tmp_path):
    """A skinned avatar: the ball as head on a column of 1.5 m, joints hips, neck and Head, each bound where it is."""
    column = np.concatenate([[(x, y, z) for x in (-0.05, 0.05) for z in (-0.05, 0.05)] for y in np.linspace(-1.6, -0.12, 30)])
    n = len(face.vertices)
    quads = [(4 * i + a, 4 * i + b, 4 * i + b + 4, 4 * i + a + 4) for i in range(29) for a, b in ((0, 1), (1, 3), (3, 2), (2, 0))]
    faces = np.array([(q[0], q[k], q[k + 1]) for q in quads for k in (1, 2)]) + n
    deltas = np.concatenate([face.deltas, np.zeros((52, len(column), 3), np.float32)], axis=1)
    figure = dataclasses.replace(
        face, vertices=np.concatenate([face.vertices, column]).astype(np.float32), deltas=deltas,
        faces=np.concatenate([face.faces, faces]).astype(np.int32),
    )  # fmt: skip
    maker = GlbMaker()
    mesh = maker.mesh(figure, ICT)
    joints, weights = np.zeros((len(figure.vertices), 4), np.uint8), np.zeros((len(figure.vertices), 4), np.float32)
    weights[:, 0] = 1
    joints[:n, 0] = 2
    places = np.array([[0, -1, 0], [0, -0.12, 0], [0, -0.063, -0.012]])
    inverse = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
    inverse[:, 3, :3] = -places  # column by column
    attributes = mesh["primitives"][0]["attributes"]
    attributes["JOINTS_0"], attributes["WEIGHTS_0"] = maker.accessor(joints), maker.accessor(weights)
    maker.json |= {
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"mesh": 0, "skin": 0},
            {"name": "Hips", "translation": places[0].tolist(), "children": [2]},
            {"name": "Neck", "translation": (places[1] - places[0]).tolist(), "children": [3]},
            {"name": "mixamorig:Head", "translation": (places[2] - places[1]).tolist()},
        ],
        "skins": [{"joints": [1, 2, 3], "inverseBindMatrices": maker.accessor(inverse.reshape(3, 16))}],
    }
    (tmp_path / "avatar.glb").write_bytes(maker.bytes())
    rig, report = load_rig_file(tmp_path / "avatar.glb")
    np.testing.assert_allclose(rig.vertices[:n] - rig.vertices[0], face.vertices - face.vertices[0], atol=1e-6)
    np.testing.assert_allclose(rig.pivot - rig.vertices[0], places[2] - face.vertices[0], atol=1e-6)
    assert (rig.head_weight[:n] == 1).all() and (rig.head_weight[n:] == 0).all()
    assert n < len(rig.vertices) < len(figure.vertices) and np.ptp(rig.vertices[:, 1]) < 0.5
    assert "the body below the shoulders is left out" in report.notes


def test_colours_of_materials_and_textures(face, tmp_path):
    """The texture's sRGB value at each vertex; a material's linear factor on top of it (glTF 3.9.2)."""
    maker = GlbMaker()
    mesh = maker.mesh(face, ICT)
    u = np.where(face.vertices[:, 0] > 0, 0.75, 0.25)
    mesh["primitives"][0]["attributes"]["TEXCOORD_0"] = maker.accessor(np.stack([u, 0 * u], axis=1).astype(np.float32))
    mesh["primitives"][0]["material"] = 0
    png = io.BytesIO()
    Image.fromarray(np.array([[[200, 100, 50], [10, 20, 30]]], np.uint8)).save(png, "PNG")
    maker.json |= {
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [1, 0.5, 1, 1]}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": maker.view(np.frombuffer(png.getvalue(), np.uint8)), "mimeType": "image/png"}],
    }
    (tmp_path / "face.glb").write_bytes(maker.bytes())
    rig, _ = load_rig_file(tmp_path / "face.glb")
    left = face.vertices[:, 0] > 0
    # Half of green 100 in linear light is sRGB 71; of 20 it is 11.
    assert np.abs(rig.colors[~left].astype(int) - (200, 71, 50, 255)).max() <= 1
    assert np.abs(rig.colors[left].astype(int) - (10, 11, 30, 255)).max() <= 1


def test_ict_facekit_as_folder_zip_and_glb(ict_folder, tmp_path):
    rig, report = load_rig_file(ict_folder)
    assert (report.source, report.units, report.shapes, report.missing) == ("ICT-FaceKit", "centimetres", 51, ("tongueOut",))
    assert set(report.ignored) == {"cheekRaiser_L", "cheekRaiser_R"}
    assert 0.2 < rig.vertices[:, 1].max() - rig.vertices[rig.head_weight == 1, 1].min() < 0.3, "crown to chin"
    assert rig.head_weight.min() == 0 and rig.vertices[rig.head_weight == 0, 1].max() < rig.pivot[1]
    frames = np.zeros((3, 52), np.float32)
    frames[1:, ARKIT_INDEX["jawOpen"]] = 1
    frames[2, ARKIT_INDEX["mouthClose"]] = 1
    closed, opened, pressed = lip_aperture(rig, frames)
    assert closed < 0.002 and opened > 0.02 and pressed < 0.4 * opened

    write_glb(rig, [still()], tmp_path / "ict.glb")
    again, report = load_rig_file(tmp_path / "ict.glb")
    assert_same_face(again, rig)
    np.testing.assert_array_equal(again.colors, rig.colors)
    assert report.shapes == 51


def test_a_look_is_found_by_its_name_and_nothing_is_the_first(face, tmp_path):
    names = []
    for look in LOOKS:
        rig, report = find_rig(look)
        np.testing.assert_array_equal(rig.vertices, load_look(look).vertices)
        assert report.shapes == 52 and report.source == "Talker" and not report.missing
        names.append(report.name)
    assert len(set(names)) == len(LOOKS) == 3
    np.testing.assert_array_equal(find_rig(None)[0].vertices, default_rig().vertices)
    assert find_rig(str(write_objs(face, tmp_path / "anna", ICT)))[1].name == "anna"
    with pytest.raises(TalkerError, match="There is no face 'anne'; give a look"):
        find_rig("anne")
