"""Training of 3DiFACE: which vertices, their statistics, the losses by hand and through the rig."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from render.rig import default_rig
from talker.errors import TalkerError
from talker.models.motion_model import Condition
from talker.models.three_diface import AXES, VARIANCE, ThreeDiFace, ThreeDiFaceConfig
from talker.motion import ARKIT_INDEX
from talker.schedules import cosine_schedule
from training.dataset import Batch, FeatureCache
from training.losses import Noised
from training.recipe import load_recipe
from training.three_diface import (
    ThreeDiFaceObjective,
    face_config,
    face_index,
    heard,
    set_face,
    vertex_range,
    vertex_statistics,
)
from training.trainer import build_model, objective_of
from tests.training.toy_corpus import write_toy_caches

FRAMES, CROPS = 6, 5


@pytest.fixture(scope="module")
def model():
    """The default rig's face on a small network, with a decoder that does something."""
    torch.manual_seed(0)
    rig = default_rig()
    config = ThreeDiFaceConfig(
        identities=["a", "b"], audio_dim=5, voice_dim=4, alpha_bars=cosine_schedule(20).alpha_bars.tolist(),
        hidden_dim=8, identity_dim=8, **face_config(rig),
    )  # fmt: skip
    model = ThreeDiFace(config)
    set_face(model, rig)
    torch.nn.init.normal_(model.motion_decoder.weight, std=0.05)
    torch.nn.init.normal_(model.motion_decoder.bias, std=0.05)
    motion = torch.rand(50, 55) * 0.3
    model.set_statistics(vertex_statistics(model, motion), (np.zeros(5), np.ones(5)))
    return model


def make_batch(noise_channels, generator=None):
    generator = generator or torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    return Batch(
        audio=draw(CROPS, FRAMES, 5), motion=0.5 * draw(CROPS, FRAMES, 55), voice=draw(CROPS, 4),
        speaker=torch.tensor([0, 1, 0, 1, -1]), weight=torch.ones(CROPS, FRAMES), pair_weight=torch.ones(CROPS, FRAMES - 1),
        uniform=draw(CROPS).double(), noise=torch.randn(CROPS, FRAMES, noise_channels, generator=generator),
    )  # fmt: skip


def test_skin_lips_and_eyeballs_are_moved_and_what_is_still_is_not():
    rig = default_rig()
    index = set(face_index(rig).tolist())
    moving = {part: len(index & set(rows.tolist())) for part, rows in rig.parts.items()}
    assert moving["lips"] == len(rig.parts["lips"]) and moving["eye_left"] == len(rig.parts["eye_left"])
    assert 2000 < moving["skin"] < len(rig.parts["skin"])
    assert not any(moving[part] for part in ("teeth_upper", "teeth_lower", "tongue", "hair", "clothes", "brows"))


def test_statistics_through_the_rig_are_those_of_the_vertices(model):
    motion = torch.rand(80, 55)
    mean, variance = vertex_statistics(model, motion)
    vertices = model.face.displacements(motion[:, :52]).double()
    assert np.allclose(mean, vertices.mean(dim=0), atol=1e-7)
    assert variance == pytest.approx(float(vertices.var(dim=0, unbiased=False).sum()), rel=1e-4)
    # Motion that comes as vertices gives the same, and motion of neither kind a sentence.
    mean, same = vertex_statistics(model, vertices.float())
    assert same == pytest.approx(variance, rel=1e-4)
    with pytest.raises(TalkerError, match="motion of 30 numbers"):
        vertex_statistics(model, torch.rand(4, 30))


def test_the_range_is_how_far_the_motion_went(model):
    motion = 0.3 * torch.rand(60, 55)
    axes, places, vertices = vertex_range(model, motion)
    assert len(axes) <= AXES and np.allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-4)
    clean = model.standardise(motion).numpy()
    along = clean @ axes.T
    assert np.allclose(places, [along.min(axis=0), along.max(axis=0)], atol=1e-4)
    assert np.allclose(vertices, [clean.min(axis=0), clean.max(axis=0)], atol=1e-6)
    assert ((clean - along @ axes) ** 2).sum() < 1e-2 * (clean**2).sum()


def test_losses_by_hand():
    """Two frames of one vertex, the network replaced by what it says: eq. 4, 5 and 6, in shares of the variance."""
    said = torch.tensor([[[1.0, 0.0, 0.0], [4.0, 2.0, 0.0]]])
    model = SimpleNamespace(
        channels=3, config=SimpleNamespace(hidden_dim=8), library=None, schedule=cosine_schedule(10),
        standardise=lambda motion: motion,
    )  # fmt: skip
    objective = ThreeDiFaceObjective.__new__(ThreeDiFaceObjective)
    torch.nn.Module.__init__(objective)
    objective.drop, objective.as_vertices, objective.closure, objective.weights = 0.1, True, 1.0, {"simple": 1.0, "velocity": 10.0}
    seen = []

    class Network:
        def __getattr__(self, name):
            return getattr(model, name)

        def __call__(self, x, step, condition):
            seen.append((step.tolist(), condition.without_audio.tolist()))
            return said

    objective.model = Network()
    ones = torch.ones(1, 2)
    clean = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    batch = Batch(torch.zeros(1, 2, 5), clean, torch.zeros(1, 4), torch.tensor([0]), ones, ones[:, :1],
                  torch.tensor([0.305], dtype=torch.float64), torch.zeros(1, 2, 3))  # fmt: skip
    losses = objective(batch)
    # Errors (1, 0, 0) and (3, 2, 0); the second is (2, 2, 0) more than the first.
    assert float(losses["simple"]) == pytest.approx((1 + 13) / 2 / VARIANCE)
    assert float(losses["velocity"]) == pytest.approx(8 / VARIANCE)
    assert float(losses["total"]) == pytest.approx((7 + 80) / VARIANCE)
    # 0.305 of ten steps is the fourth, and a twentieth into it: below a tenth the speech is left out.
    assert seen == [([4], [True])]
    objective(Batch(**{**vars(batch), "uniform": torch.tensor([0.32], dtype=torch.float64)}))
    assert seen[1] == ([4], [False])


def test_through_the_rig_losses_are_those_of_the_vertices(model):
    """The same noise, drawn for all coordinates, and what the motion encoder hears of it."""
    objective = ThreeDiFaceObjective(model)
    batch = make_batch(model.channels)
    step = torch.tensor([1, 5, 10, 15, 20])
    condition = Condition(batch.audio, model.library.embeddings[[0, 1, 0, 1, 0]])

    def errors(objective, batch):
        clean, x = objective.noisy(batch, step)
        return objective.errors(clean, objective.predict(model, Noised(clean, x, step, condition, None)))

    plain = errors(ThreeDiFaceObjective(model, as_vertices=True), batch)
    # In the objective's own coordinates: spread · own = encoder · noise.
    encoded = batch.noise @ model.motion_encoder.weight.T
    own = torch.linalg.solve_triangular(heard(model)[1], encoded.flatten(0, 1).T, upper=False).T.view(CROPS, FRAMES, -1)
    short = errors(ThreeDiFaceObjective(model), Batch(**{**vars(batch), "noise": own}))
    for one, other in zip(plain, short):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)
    # Gradients too, of both ends and what is between.
    names = ("motion_encoder.weight", "motion_decoder.weight", "motion_decoder.bias", "backbone.first.convolution.0.weight")
    weights = [model.get_parameter(name) for name in names]
    for one, other in zip(torch.autograd.grad(plain[0].mean(), weights), torch.autograd.grad(short[0].mean(), weights)):
        # The encoder's gradient differs by what turns noise without changing how likely it is.
        if one.shape != model.motion_encoder.weight.shape:
            assert torch.allclose(one, other, rtol=2e-2, atol=1e-6 + 1e-3 * float(one.abs().max()))


def test_noise_through_the_encoder_has_its_covariance(model):
    spread = heard(model)[1].detach()
    weight = model.motion_encoder.weight.detach()
    assert torch.allclose(spread @ spread.T, weight @ weight.T, atol=1e-5)


def test_a_model_from_its_recipe_learns(tmp_path):
    train = FeatureCache.load(write_toy_caches(tmp_path) / "train.safetensors")
    recipe = load_recipe("3diface-default").replace(diffusion_steps=20, batch_size=8, hidden_dim=16)
    model = build_model(recipe, train)
    assert model.config.face == "lena" and len(model.config.identities) == len(set(train.speakers))
    objective = objective_of(model, recipe, train)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    seen = []
    for step in range(60):
        losses = objective(train.batch(step, 0, 8, (30, 30), model.channels, objective.noise_channels))
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        seen.append(losses["simple"].item())
    assert np.mean(seen[-10:]) < 0.6 * np.mean(seen[:5])
    jaw = ARKIT_INDEX["jawOpen"]
    assert torch.equal(model.face.targets[jaw], torch.from_numpy(default_rig().deltas[jaw, face_index(default_rig())]))


def test_a_loss_that_it_does_not_have_gets_a_sentence(model):
    with pytest.raises(TalkerError, match="no loss lip"):
        ThreeDiFaceObjective(model, {"lip": 1.0})
