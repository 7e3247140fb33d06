"""A small head for tests of the pictures: a ball with lips, of which everything is known in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from render.rig import Rig
from talker.audio import SAMPLE_RATE, Speech
from talker.blend_weights import Corrective
from talker.identity import Match
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion
from talker.takes import Takes
from tests.render.face_files import face_rig

RADIUS = 0.1
JAW_DROP = 0.02
LIP_POINTS = 5


def ball(rings: int = 24, segments: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) of a sphere about the origin, +Z of it in front, and outward triangles (F, 3)."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.arange(segments) / segments * 2 * np.pi
    sine = np.sin(polar)[:, None]
    rows = np.stack(
        [sine * np.sin(around), np.broadcast_to(np.cos(polar)[:, None], (rings - 1, segments)), sine * np.cos(around)],
        axis=-1,
    )
    vertices = RADIUS * np.concatenate([rows.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]])
    top, bottom = len(vertices) - 2, len(vertices) - 1
    faces = []
    for j in range(segments):
        k = (j + 1) % segments
        faces.append((top, j, k))
        for i in range(rings - 2):
            a, b, c, d = i * segments + j, i * segments + k, (i + 1) * segments + j, (i + 1) * segments + k
            faces += [(a, c, d), (a, d, b)]
        last = (rings - 2) * segments
        faces.append((bottom, last + k, last + j))
    return vertices.astype(np.float32), np.array(faces, np.int32)


@pytest.fixture(scope="session")
def ball_rig() -> Rig:
    """A ball of 10 cm radius with two strips of lips in front of it, which touch in the neutral.

    jawOpen lowers the lower lip by 2 cm and mouthClose lifts it again; browInnerUp lifts the crown by 1 cm; all
    other shapes do nothing.
    """
    skin, faces = ball()
    x = np.linspace(-0.02, 0.02, LIP_POINTS)
    edge = np.stack([x, np.full_like(x, -0.03), np.full_like(x, RADIUS + 0.002)], axis=1)
    strips = [edge + (0, 0.006, 0), edge, edge, edge - (0, 0.006, 0)]
    vertices = np.concatenate([skin, *strips]).astype(np.float32)
    rows = len(skin) + np.arange(4 * LIP_POINTS).reshape(4, LIP_POINTS)
    lips = []
    for above, below in ((rows[0], rows[1]), (rows[2], rows[3])):
        for i in range(LIP_POINTS - 1):
            lips += [(above[i], below[i], below[i + 1]), (above[i], below[i + 1], above[i + 1])]
    deltas = np.zeros((len(ARKIT_NAMES), len(vertices), 3), np.float32)
    deltas[ARKIT_INDEX["jawOpen"], rows[2:].reshape(-1), 1] = -JAW_DROP
    deltas[ARKIT_INDEX["mouthClose"], rows[2:].reshape(-1), 1] = JAW_DROP
    deltas[ARKIT_INDEX["browInnerUp"], : len(skin), 1] = np.where(skin[:, 1] > 0.05, 0.01, 0)
    colors = np.tile(np.array([200, 160, 140, 255], np.uint8), (len(vertices), 1))
    colors[rows.reshape(-1)] = (200, 30, 30, 255)
    return Rig(
        vertices=vertices,
        faces=np.concatenate([faces, np.array(lips, np.int32)]),
        deltas=deltas,
        colors=colors,
        pivot=np.array([0, -0.05, -0.01], np.float32),
        landmarks={"inner_lip_upper": rows[1].astype(np.int32), "inner_lip_lower": rows[2].astype(np.int32)},
        parts={"skin": np.arange(len(skin), dtype=np.int32), "lips": rows.reshape(-1).astype(np.int32)},
        name="ball",
    )


@pytest.fixture(scope="session")
def bust_rig(ball_rig) -> Rig:
    """The ball as a bust: its upper half goes with the head, its lowest fifth rests, what is between bends."""
    share = np.clip((ball_rig.vertices[:, 1] + 0.6 * RADIUS) / (0.6 * RADIUS), 0, 1)
    weight = (share * share * (3 - 2 * share)).astype(np.float32)
    return dataclasses.replace(ball_rig, head_weight=weight, name="bust")


@pytest.fixture(scope="session")
def corrective_rig(ball_rig) -> Rig:
    """The ball with two correctives: the lower lip swings 5 mm forward on its way down, and brows that rise over
    an open mouth rise half as far."""
    deltas = np.zeros((2, len(ball_rig.vertices), 3), np.float32)
    deltas[0, ball_rig.deltas[ARKIT_INDEX["jawOpen"]].any(axis=1), 2] = 0.005
    deltas[1] = -0.5 * ball_rig.deltas[ARKIT_INDEX["browInnerUp"]]
    correctives = Corrective("jawOpen_half", ("jawOpen",)), Corrective("jawOpen_browInnerUp", ("jawOpen", "browInnerUp"))
    return dataclasses.replace(ball_rig, correctives=correctives, corrective_deltas=deltas, name="corrective")


@pytest.fixture
def motions(rng) -> list[Motion]:
    """Three takes of 12 frames with something in every coefficient."""
    return [
        Motion(rng.uniform(0, 1, (12, 52)).astype(np.float32), rng.uniform(-0.6, 0.6, (12, 3)).astype(np.float32))
        for _ in range(3)
    ]


@pytest.fixture
def speech(rng) -> Speech:
    """0.4 s of noise, which is 12 frames."""
    return Speech(rng.uniform(-0.5, 0.5, 2 * SAMPLE_RATE // 5).astype(np.float32), "noise")


@pytest.fixture
def takes(motions) -> Takes:
    """The motions as takes, the way the sampler hands them over."""
    return Takes(
        coefficients=np.stack([motion.coefficients for motion in motions]),
        head=np.stack([motion.head for motion in motions]),
        fps=30.0,
        seed=7,
        identity=Match("anna", 0.8, [("anna", 0.8), ("bela", 0.1)]),
        model="diffusiontalker",
        steps=8,
        seconds={"load": 1.5, "encode": 0.25, "match": 0.01, "sample": 0.5},
    )


@pytest.fixture(scope="session")
def face(ball_rig) -> Rig:
    """The ball with lids, brows and a chin that moves: enough to see where up, front and left are."""
    return face_rig(ball_rig)
