"""Principal components: the fewest of which rows are sums, within a tolerance."""

import numpy as np

from talker.principal_components import CHUNK, principal_components


def test_rows_of_few_components_need_no_more(rng):
    """More rows than are looked at together, of which three components and a whisper of a fourth are made."""
    ways = rng.normal(size=(4, 300)) * np.array([0.01, 0.01, 0.005, 1e-7])[:, None]
    rows = (rng.normal(size=(CHUNK + 88, 4)) @ ways).astype(np.float32)
    weights, components = principal_components(rows, 1e-5)
    assert weights.shape == (CHUNK + 88, 3) and components.shape == (3, 300)
    assert np.abs(weights @ components - rows).max() <= 1e-5
    assert np.allclose(np.abs(weights).max(axis=0), 1)
    # Those of numpy's own decomposition, in their order of size.
    _, size, right = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    unit = components / np.linalg.norm(components, axis=1, keepdims=True)
    assert np.allclose(np.abs((unit * right[:3]).sum(axis=1)), 1, atol=1e-4)
    again = principal_components(rows, 1e-5)
    assert np.array_equal(again[0], weights) and np.array_equal(again[1], components)


def test_a_face_at_rest_is_one_component_of_nothing():
    weights, components = principal_components(np.zeros((5, 12), np.float16), 1e-5)
    assert weights.shape == (5, 1) and not (weights @ components).any()
