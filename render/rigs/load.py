"""Rigs that other people made: GLB, OBJ folders and zips, ICT-FaceKit, FLAME."""

from __future__ import annotations

from pathlib import Path

from render.rig import LOOKS, Rig, load_look
from render.rigs.archive import check_file, unreadable
from render.rigs.face import RigReport, make_rig, report_of
from render.rigs.flame import read_flame
from render.rigs.glb import read_glb
from render.rigs.obj import read_obj
from talker.errors import TalkerError

SUFFIXES = (".glb", ".gltf", ".zip", ".npz", ".pkl")
"""Files that hold a face; a folder of OBJs is another way."""

KINDS = "a .glb with ARKit morph targets, a folder or .zip of OBJs (neutral.obj and one per shape), or FLAME's .pkl or .npz"


def load_rig_file(path: str | Path) -> tuple[Rig, RigReport]:
    """A rig from a file or folder: what it is is seen from its content, not its name.

    Shapes that it lacks move nothing and are named in the report. Raises TalkerError, within limits of time and
    memory (render.rigs.archive, render.rigs.face), for anything that is not a face.
    """
    path = Path(path)
    if path.is_dir():
        return make_rig(read_obj(path))
    check_file(path)
    try:
        with path.open("rb") as file:
            begin = file.read(64).lstrip()
    except OSError as error:
        raise unreadable(path, error) from error
    if not begin:
        raise TalkerError(f"{path.name} is empty; give {KINDS}.")
    if begin.startswith((b"glTF", b"{")):
        return make_rig(read_glb(path))
    if begin.startswith(b"PK"):
        return make_rig(read_flame(path) if path.suffix.lower() == ".npz" else read_obj(path))
    if path.suffix.lower() in (".pkl", ".pickle"):
        return make_rig(read_flame(path))
    raise TalkerError(f"{path.name} is no face that can be read; give {KINDS}.")


def find_rig(name: str | None) -> tuple[Rig, RigReport]:
    """A rig by what a user wrote: the name of a look that ships (nothing: the first), or the path of a file or folder."""
    name = name or LOOKS[0]
    if name in LOOKS:
        rig = load_look(name)
        return rig, report_of(rig)
    if not Path(name).exists():
        raise TalkerError(f"There is no face '{name}'; give a look ({', '.join(LOOKS)}) or the path of a file or folder.")
    return load_rig_file(name)
