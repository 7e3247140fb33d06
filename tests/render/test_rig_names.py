"""Names of shapes: every usual spelling of the 52, and nothing else."""

import pytest

from render.rigs.names import arkit_name, arkit_shapes, shortened
from talker.formats import LIVE_LINK_COLUMNS
from talker.motion import ARKIT_NAMES


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def ict(name: str) -> str:
    """As ICT-FaceKit: sides as _L and _R."""
    side = name.startswith(("jaw", "mouth")) and name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
    return name if side else name.replace("Left", "_L").replace("Right", "_R")


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_every_shape_in_every_usual_spelling(name):
    pascal = name[0].upper() + name[1:]
    for label in (
        name, pascal, snake(name), snake(name).upper(), ict(name), name.lower(), f"blendShape1.{name}",
        f"Face:{pascal}", f"head|{name}", f"A07_{snake(name).title()}", f"Wolf3D_Head_{name}", f"AK_01_{ict(pascal)}",
        snake(name).replace("_", "-"), snake(name).replace("_", " "),
    ):  # fmt: skip
        assert arkit_name(label) == name, label


def test_columns_of_live_link_face_are_spelled_the_same_way():
    assert [arkit_name(column) for column in LIVE_LINK_COLUMNS[:52]].count(None) == 0


@pytest.mark.parametrize(
    "label",
    ["", "Basis", "neutral", "smile", "cheekRaiser_L", "Fcl_MTH_A", "jawOpen_mouthClose", "jawOpen_+_mouthClose", "viseme_aa",
     "jawOpener", "LeftEyeYaw"],
)  # fmt: skip
def test_other_shapes_are_none_of_them(label):
    assert arkit_name(label) is None


def test_halves_are_two_labels_of_one_name_and_a_second_spelling_is_none():
    labels = ["browInnerUp_L", "browInnerUp_R", "cheekPuff", "cheekPuff_L", "jawOpen", "JawOpen", "other"]
    assert arkit_shapes(labels) == {
        "browInnerUp_L": "browInnerUp_L", "browInnerUp_R": "browInnerUp_R", "cheekPuff": "cheekPuff", "jawOpen": "jawOpen",
    }  # fmt: skip


def test_a_list_of_names_is_shortened():
    assert shortened(["a", "b"]) == "a, b"
    long = shortened([f"shape {i}" for i in range(500)] + ["x" * 900])
    assert long.endswith("shape 11 and 489 more") and len(long) < 200
    assert len(shortened(["x\n" * 900])) <= 32
