"""The fit of coefficients to vertices: exact on vertices that a rig made, least squares within bounds on others."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from render.rig import default_rig
from talker.blendshape_fit import fit_coefficients
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX
from training.three_diface import face_index


def speech_like(rng, frames):
    """Coefficients (T, 52) that rise and fall within half a second, as speaking faces' do; a few are used at a time."""
    raw = rng.normal(size=(frames + 14, 52))
    smooth = np.stack([np.convolve(column, np.hanning(15) / 2.7, mode="valid") for column in raw.T], axis=1)
    coefficients = np.clip(0.8 * smooth, 0, 1)
    closed, jaw = ARKIT_INDEX["mouthClose"], ARKIT_INDEX["jawOpen"]
    coefficients[:, closed] = np.minimum(coefficients[:, closed], coefficients[:, jaw])
    coefficients[:, ARKIT_INDEX["tongueOut"]] = 0  # nothing on the outside tells of it
    return coefficients.astype(np.float32)


def test_what_the_default_rig_made_is_found_again_with_all_its_correctives(rng):
    rig = default_rig()
    index = face_index(rig)
    targets = rig.targets[:, index]
    truth = speech_like(rng, 40)
    vertices = rig.pose(truth)[:, index] - rig.vertices[index]
    found = fit_coefficients(vertices, targets, rig.correctives)
    posed = rig.pose(found)[:, index] - rig.vertices[index]
    assert np.linalg.norm(posed - vertices, axis=-1).max() < 2e-5  # a fiftieth of a millimetre
    assert np.abs(found - truth).mean() < 0.002
    alone = fit_coefficients(vertices, targets, rig.correctives, smooth=0)
    assert np.abs(rig.pose(alone)[:, index] - rig.vertices[index] - vertices).max() < 1e-6


def test_without_correctives_it_is_scipys_bounded_least_squares(rng):
    deltas = rng.normal(size=(52, 40, 3)) * 0.01
    deltas[51] = 0  # a shape that the face lacks
    displacements = rng.normal(size=(4, 40, 3)) * 0.02
    found = fit_coefficients(displacements, deltas, smooth=0)
    matrix = deltas[:51].reshape(51, -1).T
    for row, target in zip(found, displacements):
        whole = lsq_linear(matrix, target.ravel(), bounds=(0, 1), method="trf", tol=1e-12)
        assert np.allclose(row[:51], whole.x, atol=1e-3)
    assert found.min() == 0 and found.max() <= 1 and (found[:, 51] == 0).all()


def test_frames_agree_about_what_their_vertices_leave_open(rng):
    """Two shapes that do the same: which of them moved is anybody's guess, but not another one in every frame."""
    deltas = np.zeros((52, 30, 3))
    deltas[0] = rng.normal(size=(30, 3)) * 0.01
    deltas[1] = deltas[0] + rng.normal(size=(30, 3)) * 1e-5
    wanted = 0.8 * deltas[0] + rng.normal(size=(60, 30, 3)) * 2e-5
    jumping = fit_coefficients(wanted, deltas, smooth=0)
    calm = fit_coefficients(wanted, deltas)
    assert np.abs(np.diff(calm[:, 0])).mean() < 0.5 * np.abs(np.diff(jumping[:, 0])).mean()
    assert np.allclose(calm[:, :2].sum(axis=1), 0.8, atol=0.01)


def test_vertices_of_another_face_get_a_sentence():
    with pytest.raises(TalkerError, match="41 vertices and the shapes have 40"):
        fit_coefficients(np.zeros((1, 41, 3)), np.zeros((52, 40, 3)))
    # A face without shapes has coefficients that stay zero.
    assert not fit_coefficients(np.ones((2, 40, 3)), np.zeros((52, 40, 3))).any()
