"""Bad faces: each gets one sentence, soon, in little memory, and nothing is written anywhere."""

import dataclasses
import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from render.rigs.load import load_rig_file
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES
from tests.render.face_files import GlbMaker, write_objs

SHAPES = {"jawOpen": "jawOpen", "browInnerUp": "browInnerUp"}
SECONDS, MEGABYTES = 2, 300


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Load a face that must be refused; gives the sentence, and checks the time, the memory and the disk."""

    def load(path) -> str:
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.chdir(tmp_path)
        tracemalloc.start()
        started = time.process_time()  # of this process: the machine may be busy with others
        try:
            with pytest.raises(TalkerError) as error:
                load_rig_file(path)
            seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert seconds < SECONDS and peak < MEGABYTES * 2**20
        assert sorted(tmp_path.rglob("*")) == before, "nothing was unpacked"
        sentence = str(error.value)
        assert "\n" not in sentence and len(sentence) < 500 and sentence.endswith((".", "…"))
        return sentence

    return load


@pytest.fixture
def objs(face, tmp_path):
    return write_objs(face, tmp_path / "anna", SHAPES)


def zipped(folder, path, extra: dict[str, bytes] = {}, **how):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **how) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
        for name, content in extra.items():
            archive.writestr(name, content)
    return path


# ---- any file ----


def test_no_face_at_all(refused, tmp_path):
    assert "cannot be read" in refused(tmp_path / "none.glb")
    (tmp_path / "empty.glb").touch()
    assert "is empty" in refused(tmp_path / "empty.glb")
    (tmp_path / "letter.glb").write_text("Dear reader, this is no face.")
    assert "is no face that can be read; give a .glb" in refused(tmp_path / "letter.glb")
    (tmp_path / "folder").mkdir()
    assert "holds no OBJ files" in refused(tmp_path / "folder")


def test_a_file_of_gigabytes(refused, tmp_path):
    with (tmp_path / "large.glb").open("wb") as file:
        file.truncate(3 * 2**30)  # sparse: takes no room
    assert "has 3072 MB" in refused(tmp_path / "large.glb")


# ---- OBJ ----


def test_a_missing_neutral(refused, objs):
    (objs / "neutral.obj").unlink()
    assert refused(objs) == "anna has no neutral among browInnerUp, jawOpen; add the face at rest as neutral.obj."


def test_vertex_counts_that_differ(refused, objs, face):
    lines = (objs / "jawOpen.obj").read_text().splitlines()
    lines.remove(next(line for line in lines if line.startswith("v ")))
    (objs / "jawOpen.obj").write_text("\n".join(lines))
    count = f"{len(face.vertices):,}"
    assert f"jawOpen.obj has {len(face.vertices) - 1:,} vertices and neutral.obj {count}" in refused(objs)


def test_no_arkit_shape_lists_what_there_is(refused, objs):
    (objs / "jawOpen.obj").rename(objs / "happy.obj")
    (objs / "browInnerUp.obj").rename(objs / "sad.obj")
    sentence = refused(objs)
    assert "anna has none of the 52 ARKit shapes (its shapes are happy, sad)" in sentence


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("v nan 0 0", "not finite numbers"),
        ("v 0 1e999 0", "not finite numbers"),
        ("v 0 1e300 0", "not finite numbers"),
        ("v 0 0", "not three numbers each"),
        ("v 0 zero 0", "not three numbers each"),
        ("f 1 2 9999999", "point at vertices it does not have"),
        ("f 1 2 0", "point at vertices it does not have"),
        ("f 1 2 -99999", "point at vertices it does not have"),
        ("f 1 2", "a polygon of 2 corners"),
        ("f 1 2 x", "corners are not numbers"),
        ("f 1 2 99999999999999999999", "corners are not numbers|point at vertices"),
        ("f " + "1 " * 5000, "lines of more than"),
    ],
)
def test_a_broken_line(refused, objs, line, sentence):
    with (objs / "neutral.obj").open("a") as file:
        file.write(line + "\n")
    assert any(words in refused(objs) for words in sentence.split("|"))


def test_millions_of_vertices(refused, objs):
    (objs / "neutral.obj").write_bytes(b"v 0 0 0\n" * 3_000_000)
    assert "has 300,001 vertices or more" in refused(objs)


# ---- zip ----


def test_a_zip_bomb(refused, objs, tmp_path):
    bomb = zipped(objs, tmp_path / "bomb.zip", {"jawLeft.obj": b"\n" * 50 * 2**20})
    assert bomb.stat().st_size < 2**20
    assert "jawLeft.obj, which unpacks to more than a face needs" in refused(bomb)


def test_a_zip_bomb_whose_headers_lie(refused, objs, tmp_path):
    """The size in both headers says 1 kB; what comes out is stopped by what was compressed."""
    bomb = zipped(objs, tmp_path / "bomb.zip", {"jawLeft.obj": b"\n" * 50 * 2**20})
    content = bomb.read_bytes()
    bomb.write_bytes(content.replace(struct.pack("<I", 50 * 2**20), struct.pack("<I", 1000)))
    sentence = refused(bomb)
    assert "unpacks to more" in sentence or "is damaged at jawLeft.obj" in sentence


@pytest.mark.parametrize("name", ["../../evil.obj", "/etc/evil.obj", "a/../../evil.obj", "..\\evil.obj", "C:\\evil.obj"])
def test_names_that_lie_outside_the_archive(refused, objs, tmp_path, name):
    assert "named to lie outside the archive" in refused(zipped(objs, tmp_path / "anna.zip", {name: b"v 0 0 0"}))


def test_many_entries(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for i in range(2500):
            archive.writestr(f"{i}.obj", b"")
    assert "lists more than 2000 files" in refused(tmp_path / "many.zip")


def test_a_long_list_of_entries_is_not_read(refused, tmp_path):
    """An end record that says 1 entry in a list of 40 MB, which zipfile would read whole."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    listed = entry * 800_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(listed), 0, 0)
    (tmp_path / "long.zip").write_bytes(listed + end)
    assert "lists more than" in refused(tmp_path / "long.zip")


def test_a_damaged_encrypted_or_odd_zip(refused, objs, tmp_path):
    whole = zipped(objs, tmp_path / "anna.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    assert "not a zip archive or is cut off" in refused(tmp_path / "cut.zip")
    broken = bytearray(whole)
    broken[200:2000] = os.urandom(1800)
    (tmp_path / "broken.zip").write_bytes(broken)
    assert "is damaged" in refused(tmp_path / "broken.zip")
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(objs / "neutral.obj", "neutral.obj")
    assert "packed in an unusual way" in refused(tmp_path / "odd.zip")
    secret = bytearray(whole)
    for at in [i for i in range(len(whole)) if whole.startswith(b"PK\1\2", i)]:
        secret[at + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(secret)
    assert "is encrypted" in refused(tmp_path / "secret.zip")


# ---- GLB ----


@pytest.fixture
def maker(face) -> GlbMaker:
    made = GlbMaker()
    made.mesh(face, SHAPES)
    return made


@pytest.mark.parametrize("keep", [5, 12, 19, 200, 0.5, 0.999])
def test_a_truncated_glb(refused, maker, tmp_path, keep):
    content = maker.bytes()
    (tmp_path / "cut.glb").write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    assert "it is cut off" in refused(tmp_path / "cut.glb")


def test_a_large_json(refused, maker, tmp_path):
    maker.json["extras"] = "x" * 20 * 2**20
    (tmp_path / "large.glb").write_bytes(maker.bytes())
    assert "JSON part of 20 MB" in refused(tmp_path / "large.glb")


def test_deep_json(refused, tmp_path):
    text = b"[" * 200_000
    (tmp_path / "deep.glb").write_bytes(struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text)
    assert "its JSON cannot be read" in refused(tmp_path / "deep.glb")


def change(maker: GlbMaker, what: str) -> None:
    document = maker.json
    primitive = document["meshes"][0]["primitives"][0]
    position, shape = (document["accessors"][holder["POSITION"]] for holder in (primitive["attributes"], primitive["targets"][0]))
    if what == "NaN in the JSON":
        document["nodes"][0]["scale"] = [1, 1, float("nan")]
    elif what == "an accessor beyond its view":
        position["byteOffset"] = 1000
    elif what == "a negative offset":
        position["byteOffset"] = -16
    elif what == "a count in the billions":
        position["count"] = 2_000_000_000
    elif what == "no buffer view, billions of zeros":
        del position["bufferView"]
        position["count"] = 2_000_000_000
    elif what == "a view beyond the file":
        document["bufferViews"][0]["byteLength"] = 10**9
    elif what == "another view's number":
        position["bufferView"] = 99
    elif what == "text for a number":
        position["count"] = "many"
    elif what == "another component type":
        position["componentType"] = 5124
    elif what == "a shape of another size":
        shape["count"] -= 1
    elif what == "triangles that point nowhere":
        maker.json["accessors"][primitive["indices"]]["componentType"] = 5123
        maker.json["accessors"][primitive["indices"]] |= {"bufferView": maker.view(np.array([0, 1, 60000], np.uint16)), "count": 3}
    elif what == "a sparse index that points nowhere":
        rows = maker.view(np.array([5, 4_000_000], np.uint32))
        shape["sparse"] = {
            "count": 2,
            "indices": {"bufferView": rows, "componentType": 5125},
            "values": {"bufferView": maker.view(np.ones((2, 3), np.float32))},
        }
    elif what == "a node inside itself":
        document["nodes"][0]["children"] = [0]
    elif what == "a million nodes":
        document["nodes"] = [{"mesh": 0}] + [{}] * 100_000
    elif what == "files beside it":
        document["images"] = [{"uri": "../../secret.png"}]
        document["textures"] = [{"source": 0}]
        document["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
        primitive["material"] = 0
        primitive["attributes"]["TEXCOORD_0"] = maker.accessor(np.zeros((position["count"], 2), np.float32))
    elif what == "Draco":
        document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    elif what == "glTF 1.0":
        document["asset"]["version"] = "1.0"
    elif what == "no mesh":
        document["nodes"] = [{}]
    elif what == "a list for an object":
        document["nodes"] = [[]]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("NaN in the JSON", "its JSON cannot be read"),
        ("an accessor beyond its view", "an accessor lies outside its data"),
        ("a negative offset", "layout makes no sense"),
        ("a count in the billions", "2,000,000,000 vertices or more"),
        ("no buffer view, billions of zeros", "2,000,000,000 vertices or more"),
        ("a view beyond the file", "lies outside its data"),
        ("another view's number", "out of range"),
        ("text for a number", "no count"),
        ("another component type", "no usable component type"),
        ("a shape of another size", "its shape jawOpen has 1,"),
        ("triangles that point nowhere", "point at vertices it does not have"),
        ("a sparse index that points nowhere", "points outside its rows"),
        ("a node inside itself", "a node hangs in two places"),
        ("a million nodes", "100,001 nodes"),
        ("files beside it", "needs other files beside it"),
        ("Draco", "compressed with Draco; export it without"),
        ("glTF 1.0", "is not glTF 2.0"),
        ("no mesh", "holds no triangles"),
        ("a list for an object", "its nodes are not a list"),
    ],
)
def test_a_broken_glb(refused, maker, tmp_path, what, sentence):
    change(maker, what)
    (tmp_path / "broken.glb").write_bytes(maker.bytes())
    assert sentence in refused(tmp_path / "broken.glb")


@pytest.mark.parametrize("where", ["vertices", "deltas"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(refused, face, tmp_path, where, value):
    array = getattr(face, where).copy()
    array.reshape(-1, *array.shape[-2:])[ARKIT_INDEX["jawOpen"] if where == "deltas" else 0, 7, 1] = value
    maker = GlbMaker()
    maker.mesh(dataclasses.replace(face, **{where: array}), SHAPES)
    (tmp_path / "broken.glb").write_bytes(maker.bytes())
    assert "not finite numbers" in refused(tmp_path / "broken.glb")


def test_a_glb_without_arkit_shapes_lists_what_it_has(refused, face, tmp_path):
    maker = GlbMaker()
    maker.mesh(face, {name: f"Fcl_{i}" for i, name in enumerate(ARKIT_NAMES)})
    (tmp_path / "other.glb").write_bytes(maker.bytes())
    sentence = refused(tmp_path / "other.glb")
    assert "none of the 52 ARKit shapes (its shapes are Fcl_0, Fcl_1," in sentence and "and 40 more" in sentence
    maker = GlbMaker()
    maker.mesh(face, {})
    (tmp_path / "none.glb").write_bytes(maker.bytes())
    assert "it has no shapes at all" in refused(tmp_path / "none.glb")


def test_a_texture_bomb_is_left_out(maker, face, tmp_path):
    """A PNG that says 60 000 × 60 000: the face loads with the colour of skin, and no memory is taken for it."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    primitive = maker.json["meshes"][0]["primitives"][0]
    primitive["attributes"]["TEXCOORD_0"] = maker.accessor(np.zeros((len(face.vertices), 2), np.float32))
    primitive["material"] = 0
    maker.json |= {
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": maker.view(np.frombuffer(png, np.uint8))}],
    }
    (tmp_path / "face.glb").write_bytes(maker.bytes())
    tracemalloc.start()
    rig, report = load_rig_file(tmp_path / "face.glb")
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()
    assert report.shapes == 2 and (rig.colors == rig.colors[0]).all()


# ---- FLAME ----


class Code:
    """What an attacker pickles: code that runs on loading."""

    def __init__(self, path) -> None:
        self._path = path

    def __reduce__(self):
        return os.system, (f"touch {self._path}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_with_code(refused, tmp_path, protocol):
    model = {"f": Code(tmp_path / "ran"), "v_template": np.zeros((4, 3))}
    (tmp_path / "generic_model.pkl").write_bytes(pickle.dumps(model, protocol))
    sentence = refused(tmp_path / "generic_model.pkl")
    assert sentence.startswith("generic_model.pkl is refused because it holds") and ".system" in sentence
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(b"cos\nsystem\n(S'touch ran'\ntR.", id="a call"),
        pytest.param(b"(S'touch ran'\nios\nsystem\n.", id="a call by INST"),
        pytest.param(b"cos\nsystem\n(cos\nsystem\nS'touch ran'\no.", id="a call by OBJ"),
        pytest.param(b"cnumpy\nndarray\n(tR(dS'__class__'\ncos\nsystem\nsb.", id="a state with code"),
        pytest.param(b"cnumpy\nload\n(S'x'\ntR.", id="another function of numpy"),
        pytest.param(b"cscipy.sparse.csc\nos\n.", id="a name beside a matrix"),
        pytest.param(b"cnumpy\ndtype.__class__\n.", id="a dotted name"),
        pytest.param(b"cbuiltins\neval\n(S'1'\ntR.", id="eval"),
        pytest.param(b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.", id="STACK_GLOBAL"),
        pytest.param(b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".", id="a buffer of a terabyte"),
        pytest.param(b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".", id="bytes of a terabyte"),
        pytest.param(b"\x80\x02}r\xff\xff\xff\x7fNN", id="a memo of 16 GB"),
        pytest.param(b"\x80\x02" + b"]0" * 500_000 + b".", id="a million instructions"),
        pytest.param(b"\x80\x02)" + b"2\x86" * 60 + b"q\0}h\0K\1s.", id="a key that takes for ever to hash"),
        pytest.param(b"\x80\x02N.", id="nothing"),
        pytest.param(b"\x80\x02}", id="cut off"),
        pytest.param(os.urandom(5000), id="noise"),
        pytest.param(b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.", id="a frame of exabytes"),
    ],
)
def test_a_hostile_pickle(refused, tmp_path, program):
    (tmp_path / "generic_model.pkl").write_bytes(program)
    assert "generic_model.pkl" in refused(tmp_path / "generic_model.pkl")
    assert not (tmp_path / "ran").exists()


def test_an_array_that_lies_about_its_size(refused, tmp_path):
    honest = pickle.dumps({"v_template": np.zeros(1000)}, 2)
    assert struct.pack("<H", 1000) in honest
    (tmp_path / "generic_model.pkl").write_bytes(honest.replace(b"M" + struct.pack("<H", 1000), b"J" + struct.pack("<I", 10**9)))
    assert "an array whose size is not that of its data" in refused(tmp_path / "generic_model.pkl")


def test_an_npz_that_is_no_flame(refused, tmp_path):
    np.savez(tmp_path / "a.npz", v_template=np.zeros((4, 3)))
    assert "lacks f, weights, posedirs, J_regressor" in refused(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", v_template=np.array([{}], object))
    assert "without pickled objects" in refused(tmp_path / "b.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 3)})
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("v_template.npy", header.getvalue())
    assert "is damaged at v_template" in refused(tmp_path / "c.npz")


def test_the_sentence_reaches_the_command_line(tmp_path, capsys, example_clip):
    from talker.__main__ import main

    (tmp_path / "letter.glb").write_text(json.dumps({"asset": {}}))
    code = main(["speak", str(example_clip), "--out", str(tmp_path / "out"), "--rig", str(tmp_path / "letter.glb")])
    assert code == 2 and "talker: letter.glb is not glTF 2.0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
