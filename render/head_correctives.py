"""Correctives of the default head: what makes its shapes' paths arcs, and their sums the poses that are meant.

Each is the difference between a pose as it should be and the sum of the shapes that are to give it; see
talker.blend_weights.Corrective for the weights. Those of one side are made for the left and mirrored.
"""

from __future__ import annotations

import numpy as np

from render import head_mouth as mouth
from render import head_upper_face as upper
from render.head_fields import Fields
from render.head_shapes import SMALLEST
from talker.blend_weights import Corrective


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
    for aside in ("In", "Out"):
        for height in ("Up", "Down"):
            made[f"eyeLook{height}Left", f"eyeLook{aside}Left"] = upper.diagonal(f, aside, height)
    # a closed eye looks the same whatever else its lids were to do
    for shape in upper.LIDS:
        made["eyeBlinkLeft", f"{shape}Left"] = -upper.lids(f, shape)
    # a lip that has curled in is flat already
    made["mouthPressLeft", "mouthRollUpper"] = -mouth.press_lip(f, 1)
    made["mouthPressLeft", "mouthRollLower"] = -mouth.press_lip(f, -1)
    # pressed lips hold on to each other, a lip curled over the teeth covers them
    for shape, side in (("mouthUpperUpLeft", 1), ("mouthLowerDownLeft", -1)):
        made[shape, "mouthPressLeft"] = -0.6 * mouth.lip_lift(f, side)
    made["mouthLowerDownLeft", "mouthRollLower"] = -0.4 * mouth.lip_lift(f, -1)
    # a laughing mouth is as wide as a smiling one, its lower lip tight over the teeth
    made["jawOpen", "mouthSmileLeft"] = mouth.laugh(f)
    return made


def _of_both(f: Fields) -> dict[tuple[str, ...], np.ndarray]:
    funnel, pucker = mouth.funnel(f), mouth.pucker(f)
    return {
        # rounding twice is not twice as narrow
        ("mouthFunnel", "mouthPucker"): mouth.round_mouth(f, 0.54, 10.5, 4.6, 6.2, 2.4) - funnel - pucker,
        # the jaw opens the ring already: an O, no slot
        ("jawOpen", "mouthFunnel"): mouth.round_mouth(f, 0.32, 7.0, 1.2, 0.0, 2.0) - funnel,
        ("jawOpen", "mouthPucker"): mouth.round_mouth(f, 0.42, 9.0, 0.0, 0.0, 1.4) - pucker,
    }


def _of_jaw(f: Fields) -> dict[tuple[str, ...], np.ndarray]:
    """What follows from the jaw, which turns as a body: for fields placed on a look."""
    arc = _halfway(lambda part: mouth.jaw_open(f, part))
    # lips that draw together leave a smaller opening than the jaw does; none that is closed closes further
    closer = 0.35 * mouth.mouth_close(f, mouth.jaw_open(f))
    return {
        ("jawOpen",): arc,
        # equal weights of both keep the lips together half-way too
        ("mouthClose",): mouth.mouth_close(f, arc),
        ("jawOpen", "mouthPucker"): closer,
        ("mouthClose", "mouthPucker"): -closer,
    }


def corrective_deltas(head, look) -> tuple[tuple[Corrective, ...], np.ndarray]:
    """The correctives of a Sculpture and their displacements (K, V, 3) in millimetres, as a Look has them."""
    f = Fields(head)
    made = {shapes: 0.5 * (delta + f.mirrored(delta)) for shapes, delta in _of_both(f).items()}
    for shapes, delta in _of_left(f).items():
        made[shapes] = delta
        made[tuple(name.removesuffix("Left") + "Right" if name.endswith("Left") else name for name in shapes)] = f.mirrored(delta)
    carried = dict(zip(made, look.carry(f.v, np.stack(list(made.values()))), strict=True))
    for shapes, delta in _of_jaw(f.on(look)).items():
        carried[shapes] = carried.get(shapes, 0.0) + 0.5 * (delta + f.mirrored(delta))
    correctives = tuple(
        Corrective("_".join(shapes) if len(shapes) > 1 else f"{shapes[0]}_half", shapes) for shapes in carried
    )
    deltas = np.stack(list(carried.values()))
    deltas[np.abs(deltas) < SMALLEST] = 0.0
    return correctives, deltas
