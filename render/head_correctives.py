"""Correctives of the default head: what makes its shapes' paths arcs, and their sums the poses that are meant.

Each is the difference between a pose as it should be and the sum of the shapes that are to give it; see
render.rig.Corrective for the weights. Those of one side are made for the left and mirrored.
"""

from __future__ import annotations

import numpy as np

from render import head_mouth as mouth
from render import head_upper_face as upper
from render.head_fields import Fields
from render.head_shapes import SMALLEST
from render.rig import Corrective


def _halfway(path) -> np.ndarray:
    """What the straight line between the ends of path(part) misses half-way, (V, 3)."""
    return path(0.5) - 0.5 * path(1.0)


def _of_left(f: Fields) -> dict[tuple[str, ...], np.ndarray]:
    made = {
        ("eyeBlinkLeft",): _halfway(lambda part: upper.blink_lids(f, part)),
        ("eyeLookDownLeft",): _halfway(lambda part: upper.ball_turn(f, "Down", part) + upper.lids(f, "eyeLookDown", part)),
    }
    for direction in ("Up", "In", "Out"):
        made[(f"eyeLook{direction}Left",)] = _halfway(lambda part: upper.ball_turn(f, direction, part))
    # a closed eye looks the same whatever else its lids were to do
    for shape in upper.LIDS:
        made["eyeBlinkLeft", f"{shape}Left"] = -upper.lids(f, shape)
    return made


def _of_both(f: Fields) -> dict[tuple[str, ...], np.ndarray]:
    open_arc = _halfway(lambda part: mouth.jaw_open(f, part))
    return {
        ("jawOpen",): open_arc,
        # equal weights of both keep the lips together half-way too
        ("mouthClose",): mouth.mouth_close(f, open_arc),
    }


def corrective_deltas(head) -> tuple[tuple[Corrective, ...], np.ndarray]:
    """The correctives of a Sculpture and their displacements (K, V, 3) in millimetres."""
    f = Fields(head)
    made = {shapes: 0.5 * (delta + f.mirrored(delta)) for shapes, delta in _of_both(f).items()}
    for shapes, delta in _of_left(f).items():
        made[shapes] = delta
        made[tuple(name.removesuffix("Left") + "Right" if name.endswith("Left") else name for name in shapes)] = f.mirrored(delta)
    correctives = tuple(
        Corrective("_".join(shapes) if len(shapes) > 1 else f"{shapes[0]}_half", shapes) for shapes in made
    )
    deltas = np.stack(list(made.values()))
    deltas[np.abs(deltas) < SMALLEST] = 0.0
    return correctives, deltas
