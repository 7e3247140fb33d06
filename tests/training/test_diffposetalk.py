"""DiffPoseTalk's losses worked by hand and through the rig, its two windows, its training."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.spatial.transform import Rotation

from render.rig import default_rig, rotation_matrices
from talker.audio import load_speech
from talker.encoders import SpeechEncoder
from talker.errors import TalkerError
from talker.models import DENOISERS
from talker.models.diffposetalk import DiffPoseTalk, DiffPoseTalkConfig
from talker.pipeline import Talker
from talker.schedules import cosine_schedule
from talker.style import StyleConfig, StyleEncoder
from tests.render.test_flame import model as flame_model  # noqa: F401
from tests.render.test_flame import skinned
from tests.training.toy_corpus import write_toy_caches, write_toy_corpus
from training.__main__ import main
from training.dataset import Batch, FeatureCache
from training.diffposetalk import HEAD_WEIGHTS, DiffPoseTalkObjective, geometric_losses, head_loss, load_trunk, masked_mean
from training.features import feature_caches
from training.geometry import MOVING, FlameGeometry, RigGeometry
from training.recipe import load_recipe
from training.trainer import Trainer, build_model, make_accelerator, objective_of

TW, TP = 40, 4


@pytest.fixture(scope="module")
def geometry():
    return RigGeometry(default_rig())


@pytest.fixture
def objective(geometry):
    torch.manual_seed(0)
    config = DiffPoseTalkConfig(
        identities=[], audio_dim=6, voice_dim=5, alpha_bars=cosine_schedule(20).alpha_bars.tolist(), hidden_dim=16, layers=1,
        heads=2, window_frames=TW, previous_frames=TP,
    )  # fmt: skip
    return DiffPoseTalkObjective(DiffPoseTalk(config), StyleEncoder(StyleConfig(layers=1)).eval(), geometry)


@pytest.fixture
def batch(rng):
    """Three crops of two windows, the last of which ends ten frames into its second window."""
    draw = lambda *shape: torch.from_numpy(rng.normal(size=shape).astype(np.float32))  # noqa: E731
    weight = torch.ones(3, 2 * TW)
    weight[2, TW + 10 :] = 0
    return Batch(
        draw(3, 2 * TW, 6), 0.3 + 0.1 * draw(3, 2 * TW, 55), draw(3, 5), torch.zeros(3), weight, weight[:, 1:],
        torch.tensor([0.1, 0.3, 0.7]), draw(3, 2 * TW, 55),
    )  # fmt: skip


def test_losses_by_hand():
    """One coordinate, five frames, of which the last does not count."""
    truth = torch.tensor([0.0, 1, 2, 3, 9]).view(1, 5, 1)
    prediction = torch.tensor([0.0, 1, 4, 3, 0]).view(1, 5, 1)
    mask = torch.tensor([[True, True, True, True, False]])
    losses = geometric_losses(prediction, truth, mask)
    assert losses["vertex"] == pytest.approx((0 + 0 + 4 + 0) / 4)
    assert losses["velocity"] == pytest.approx((0 + 4 + 4) / 3)  # steps 1, 3, -1 for 1, 1, 1
    assert losses["smooth"] == pytest.approx((4 + 16) / 2)  # accelerations 2, -4
    emphasis = torch.tensor([[3.0, 1.0, 1.0, 1.0, 1.0]])
    weighed = geometric_losses(prediction, truth, mask, emphasis)
    assert weighed["vertex"].item() == pytest.approx(masked_mean((prediction - truth) ** 2, mask * emphasis).item())
    assert weighed["velocity"] == losses["velocity"] and weighed["smooth"] == losses["smooth"]
    assert masked_mean(prediction, torch.zeros(1, 5, dtype=torch.bool)) == 0


def test_the_head_goes_on_steadily_into_a_window():
    """Given frames rise by one; a window that goes on like that costs nothing, one that starts from 0 again does."""
    truth = torch.arange(8.0).view(1, 8, 1).repeat(2, 1, 3)
    mask, first = torch.ones(2, 8, dtype=torch.bool), torch.tensor([False, False])
    assert head_loss(truth, truth, mask, 4, first) == 0
    fallen = truth.clone()
    fallen[:, 4:] -= 4
    only = replace_weights(transition=1.0)
    # Positions 1 2 3 | 0 1 2: accelerations of the predicted frames -4 and 4, their changes -4 and 8.
    assert head_loss(fallen, truth, mask, 4, first, only) == pytest.approx((16 + 16) / 2 + (16 + 64) / 2)
    assert head_loss(fallen, truth, mask, 4, torch.tensor([True, True]), only) == 0


def replace_weights(**weights):
    return {**dict.fromkeys(HEAD_WEIGHTS, 0.0), **weights}


def test_distances_through_the_rig_are_those_of_its_vertices(geometry, rng):
    """The Gram matrix's coordinates against posed vertices, correctives included."""
    rig = default_rig()
    one, other = rng.random((2, 6, 52)).astype(np.float32) * 0.8
    moving = np.abs(rig.targets).max(axis=(0, 2)) > MOVING
    vertices = ((rig.pose(one) - rig.pose(other))[:, moving] ** 2).mean(axis=(1, 2))
    ours = ((geometry(torch.from_numpy(one)) - geometry(torch.from_numpy(other))) ** 2).mean(dim=1)
    assert np.allclose(ours.numpy(), vertices, rtol=1e-3) and vertices.mean() > 1e-7


def test_a_crop_is_two_windows_with_each_others_style(objective, batch):
    objective.eval()
    noised = objective.noised(batch)
    model, (encoder,) = objective.model, objective.frozen
    clean = model.standardise(batch.motion)
    assert torch.equal(noised.clean[:3, TP:], clean[:, :TW]) and torch.equal(noised.clean[3:, TP:], clean[:, TW:])
    condition = noised.condition
    assert condition.first.tolist() == [True] * 3 + [False] * 3
    assert torch.equal(condition.previous[3:], clean[:, TW - TP : TW])
    assert torch.equal(condition.previous_audio[3:], batch.audio[:, TW - TP : TW])
    with torch.no_grad():
        assert torch.allclose(condition.style[:3], encoder(batch.motion[:, TW:], condition.valid[3:]))
        assert torch.allclose(condition.style[3:], encoder(batch.motion[:, :TW]))
    # Ten frames of a second window do not tell a style, so the first window of that crop has none.
    assert condition.without_style.tolist() == [False, False, True, False, False, False]
    assert noised.step.tolist() == [3, 7, 15, 13, 17, 5]
    assert condition.without_audio.any() == False  # noqa: E712


def test_conditions_are_dropped_and_windows_cut_as_often_as_the_paper_says(objective, batch):
    objective.train()
    many = Batch(**{
        name: getattr(batch, name)[torch.arange(2).repeat(500)]
        for name in ("audio", "motion", "voice", "speaker", "weight", "pair_weight", "uniform", "noise")
    })  # fmt: skip
    torch.manual_seed(0)
    condition = objective.noised(many).condition
    assert condition.without_style.float().mean() == pytest.approx(0.55, abs=0.04)
    assert condition.without_audio.float().mean() == pytest.approx(0.10, abs=0.025)
    assert (condition.without_style | ~condition.without_audio).all()
    lengths = condition.valid.sum(dim=1)
    assert (lengths[:1000] < TW).float().mean() == pytest.approx(0.3, abs=0.05)
    assert (lengths[1000:] < TW).float().mean() == pytest.approx(0.4, abs=0.05)
    assert lengths.min() >= 1 and (condition.valid.int().diff(dim=1) <= 0).all()


def test_a_perfect_prediction_costs_no_more_than_it_accelerates(objective, batch):
    objective.eval()
    noised = objective.noised(batch)
    losses = objective.losses(batch, noised, noised.clean)
    assert losses["simple"] == losses["vertex"] == losses["velocity"] == 0 and losses["smooth"] > 0 and losses["head"] > 0
    # Neither what comes before a first window nor what lies past the end of the speech counts.
    elsewhere = noised.clean.clone()
    elsewhere[:3, :TP] += 1
    elsewhere[5, TP + 10 :] += 1
    for name, loss in objective.losses(batch, noised, elsewhere).items():
        assert loss == losses[name]
    elsewhere[3, :TP] += 1
    assert objective.losses(batch, noised, elsewhere)["simple"] > 0


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return write_toy_caches(tmp_path_factory.mktemp("features"))


def test_it_learns_by_its_recipe_and_loads_as_itself(features, tmp_path):
    caches = {split: FeatureCache.load(features / f"{split}.safetensors") for split in ("train", "validation")}
    recipe = load_recipe("diffposetalk-default").replace(
        steps=40, hidden_dim=32, layers=2, heads=2, window_frames=30, previous_frames=4, crop_frames=(60, 60), batch_size=8,
        warmup_steps=5, learning_rate=3e-3, validate_every=40, validation_batches=1, style_encoder="", diffusion_steps=50, precision="fp32",
    )  # fmt: skip
    model = build_model(recipe, caches["train"])
    objective = objective_of(model, recipe, caches["train"])
    losses = []
    original = objective.forward
    objective.forward = lambda batch: losses.append(original(batch)) or losses[-1]
    Trainer(recipe, objective, caches, tmp_path, make_accelerator(recipe, cpu=True), progress=False).fit()
    totals = [float(one["total"].detach()) for one in losses[:40]]
    assert np.mean(totals[-8:]) < 0.7 * np.mean(totals[:8])
    assert set(losses[0]) == {"total", "simple", "vertex", "velocity", "smooth", "head"}
    shipped = DENOISERS["diffposetalk"].from_pretrained(tmp_path / "checkpoint")
    assert all(torch.equal(shipped.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert shipped.config.style_dim == 0 and shipped.config.fps == 30
    with pytest.raises(TalkerError, match="crops of two windows"):
        objective_of(model, recipe.replace(crop_frames=(60, 61)), caches["train"])


def test_the_speech_encoder_trains_too_but_for_its_convolutions(encoder, tmp_path):
    """Its upper layers are part of the checkpoint, and speak with the convolutions of the encoder beside it."""
    write_toy_corpus(tmp_path / "corpus", speakers=2, seconds=2.5)
    words = ["train", "--recipe", "diffposetalk-default", "--corpus", str(tmp_path / "corpus"), "--features", str(tmp_path / "features"),
             "--encoder", encoder, "--out", str(tmp_path / "run"), "--steps", "2", "--batch-size", "4", "--cpu"]  # fmt: skip
    sizes = ["hidden_dim=16", "layers=1", "heads=2", "window_frames=30", "previous_frames=4", "crop_frames=[60, 60]", "style_encoder=''",
             "variants=0", "train_encoder=true", "precision=fp32", "ema_decay=0", "diffusion_steps=4", "warmup_steps=0"]  # fmt: skip
    assert main([*words, *(word for size in sizes for word in ("--set", size))]) == 0
    shutil.copytree(encoder, tmp_path / "run" / Path(encoder).name)
    talker = Talker.from_pretrained(tmp_path / "run" / "checkpoint", device="cpu")
    before, trunk = SpeechEncoder.from_pretrained(encoder).model, talker.denoiser.trunk
    assert not torch.equal(trunk.gru.weight_ih_l0, before.gru.weight_ih_l0)
    assert torch.allclose(trunk.gru.weight_ih_l0, before.gru.weight_ih_l0, atol=0.05)
    assert talker.encoder.feature_size == talker.denoiser.config.audio_dim == 16 and trunk.size == 12
    speech = load_speech(tmp_path / "corpus" / "toy-0" / "toy-0-0.wav")
    takes = talker.speak(speech, takes=2, guidance={"audio": 1.5})
    assert takes.coefficients.shape == (2, speech.frames(), 52) and np.ptp(takes.head) > 0
    with pytest.raises(TalkerError, match="leaves the speech encoder as it is"):
        load_trunk(torch.nn.Module(), load_recipe("diffusiontalker"))


def test_flames_vertices_are_those_of_its_paper(flame_model, tmp_path, rng):
    np.savez(tmp_path / "flame.npz", **flame_model)
    geometry = FlameGeometry(tmp_path / "flame.npz")
    shape, expression, jaw = rng.normal(size=100), rng.normal(size=50), rng.normal(size=3) * 0.2
    shaped = flame_model["v_template"] + flame_model["shapedirs"][..., :100] @ shape + flame_model["shapedirs"][..., 300:350] @ expression
    still = Rotation.identity()
    truth = skinned(flame_model | {"v_template": shaped}, [still, still, Rotation.from_rotvec(jaw), still, still])
    motion = torch.from_numpy(np.concatenate([expression, jaw, [1.0, 1.0, 1.0]])).float().view(1, 1, 56)  # a head that turns
    found = geometry(motion, torch.from_numpy(shape).float()[None])
    assert np.abs(found.view(-1, 3).numpy() - truth).max() < 1e-5
    np.savez(tmp_path / "old.npz", **flame_model | {"shapedirs": flame_model["shapedirs"][..., :110]})
    with pytest.raises(TalkerError, match="has 110 shapes"):
        FlameGeometry(tmp_path / "old.npz")
    with pytest.raises(TalkerError):
        FlameGeometry(tmp_path / "none.npz")


def test_flames_motion_trains_from_tfhp_by_the_recipe(flame_model, encoder, tmp_path, rng):
    for video in ("one", "two"):
        folder = tmp_path / "tfhp" / "FLAME_coeffs" / "ann"
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"shape": rng.normal(size=(60, 100)), "exp": rng.normal(size=(60, 50)), "pose": 0.1 * rng.normal(size=(60, 6))}
        np.savez(folder / f"{video}.npz", **{name: array.astype(np.float32) for name, array in arrays.items()})
        sound = tmp_path / "tfhp" / "audio" / "ann" / f"{video}.flac"
        sound.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(sound, 0.1 * rng.normal(size=60 * 640), 16_000)
    caches = feature_caches(tmp_path / "features", tmp_path / "tfhp", encoder, fps=25.0)
    cache = caches["train"]
    assert cache.motion.shape == (120, 56) and cache.shapes.shape == (2, 100) and cache.notes["fps"] == 25
    assert torch.allclose(cache.motion[60:, :50], torch.from_numpy(arrays["exp"]).float())
    assert torch.allclose(cache.motion[60:, 50:53], torch.from_numpy(arrays["pose"][:, 3:]).float())
    turned = rotation_matrices(cache.motion[60:, 53:].numpy())
    assert np.allclose(turned, Rotation.from_rotvec(arrays["pose"][:, :3]).as_matrix(), atol=1e-5)

    np.savez(tmp_path / "flame.npz", **flame_model)
    recipe = load_recipe("diffposetalk").replace(
        flame=str(tmp_path / "flame.npz"), hidden_dim=16, layers=1, heads=2, window_frames=20, previous_frames=4, crop_frames=(40, 40),
        batch_size=2, style_encoder="", diffusion_steps=4, train_encoder=False,
    )  # fmt: skip
    model = build_model(recipe, cache)
    assert (model.channels, model.config.shape_dim, model.config.fps) == (56, 100, 25)
    losses = objective_of(model, recipe, cache)(cache.batch(1, 0, 2, (40, 40), model.channels))
    losses["total"].backward()
    assert losses["vertex"] > 0 and model.speaker.weight.grad.abs().sum() > 0
    with pytest.raises(TalkerError, match="no ARKit coefficients"):
        model.to_motion(torch.zeros(1, 5, 56))
    with pytest.raises(TalkerError, match="motion in FLAME's terms, and the recipe asks for ARKit's"):
        build_model(recipe.replace(flame=""), cache)


def test_the_papers_recipe_has_the_papers_sizes():
    recipe = load_recipe("diffposetalk")
    assert (recipe.layers, recipe.heads, recipe.hidden_dim, recipe.window_frames, recipe.previous_frames) == (8, 8, 512, 100, 10)
    assert (recipe.steps, recipe.warmup_steps, recipe.batch_size, recipe.learning_rate) == (90_000, 5_000, 16, 1e-4)
    assert (recipe.diffusion_steps, recipe.schedule, recipe.fps) == (500, "cosine", 25)
    assert recipe.train_encoder and recipe.loss_weights == {}  # the objective's own are the paper's
