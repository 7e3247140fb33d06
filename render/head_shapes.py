"""The 52 ARKit shapes of the default head as linear displacements (Apple, ARFaceAnchor.BlendShapeLocation).

Every shape is a formula over the neutral vertices in millimetres. Skin follows smooth fields; the rings
about the mouth know whether they belong to the upper or the lower lip and how far from the lips'
border they lie, the rings about the eye know their share of the lids' movement, and teeth and tongue
are rigid with skull or jaw. "Left" is the face's own left, +X; Right shapes are mirror images.
What sums of them get wrong, render.head_correctives mends.
"""

from __future__ import annotations

import numpy as np

from render import head_mouth as mouth
from render import head_upper_face as upper
from render.head_fields import Fields
from talker.motion import ARKIT_INDEX, ARKIT_NAMES

SMALLEST = 0.01
"""Movements below this many mm are left out of a shape: nobody sees them, and they would fill the file."""


def shape_deltas(head, look) -> np.ndarray:
    """Displacements (52, V, 3) in millimetres of a Sculpture as a Look has them, rows as ARKIT_NAMES.

    Soft movements are those of the sculpture, carried by the look's warp. The jaw turns as a body, which a warp
    would bend, so it turns on the look itself.
    """
    f = Fields(head)
    both = {
        "jawForward": mouth.jaw_forward(f),
        "mouthFunnel": mouth.funnel(f),
        "mouthPucker": mouth.pucker(f),
        "mouthRollUpper": mouth.roll_upper(f),
        "mouthRollLower": mouth.roll_lower(f),
        "mouthShrugUpper": mouth.shrug_upper(f),
        "mouthShrugLower": mouth.shrug_lower(f),
        "cheekPuff": upper.cheek_puff(f),
        "browInnerUp": upper.brow_inner_up(f),
        "tongueOut": mouth.tongue_out(f),
    }
    left = {
        "jawLeft": mouth.jaw_side(f),
        "mouthLeft": mouth.mouth_side(f),
        "mouthSmileLeft": mouth.smile(f),
        "mouthFrownLeft": mouth.frown(f),
        "mouthDimpleLeft": mouth.dimple(f),
        "mouthStretchLeft": mouth.stretch(f),
        "mouthPressLeft": mouth.press(f),
        "mouthUpperUpLeft": mouth.lip_lift(f, 1),
        "mouthLowerDownLeft": mouth.lip_lift(f, -1),
        "cheekSquintLeft": upper.cheek_squint(f),
        "noseSneerLeft": upper.nose_sneer(f),
        "eyeBlinkLeft": upper.blink(f),
        "eyeSquintLeft": upper.squint(f),
        "eyeWideLeft": upper.wide(f),
        **{f"eyeLook{direction}Left": upper.gaze(f, direction) for direction in upper.GAZE},
        "browDownLeft": upper.brow_down(f),
        "browOuterUpLeft": upper.brow_outer_up(f),
    }
    body = f.on(look)
    jaw_open = mouth.jaw_open(body)
    bodies = {"jawOpen": jaw_open, "mouthClose": mouth.mouth_close(body, jaw_open)}
    deltas = np.zeros((len(ARKIT_NAMES), f.count, 3))
    for name, delta in both.items():
        deltas[ARKIT_INDEX[name]] = 0.5 * (delta + f.mirrored(delta))
    for name, delta in left.items():
        deltas[ARKIT_INDEX[name]] = delta
        deltas[ARKIT_INDEX[name.removesuffix("Left") + "Right"]] = f.mirrored(delta)
    deltas = look.carry(f.v, deltas)
    for name, delta in bodies.items():
        deltas[ARKIT_INDEX[name]] = 0.5 * (delta + f.mirrored(delta))
    deltas[np.abs(deltas) < SMALLEST] = 0.0
    return deltas
