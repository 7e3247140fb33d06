"""3DiFACE: convolutions over frames, speech by concatenation, the speaker's vector, and vertices as coefficients."""

import numpy as np
import pytest
import torch

from talker import Talker
from talker.audio import speech_from_array
from talker.editing import plan_edit
from talker.encoders import CompactSpeechConfig, CompactSpeechModel, SpeechEncoder
from talker.errors import TalkerError
from talker.guidance import guided
from talker.models.three_diface import AXES, VARIANCE, ThreeDiFace, ThreeDiFaceConfig
from talker.motion import ARKIT_INDEX, Motion
from talker.samplers import SAMPLERS, ancestral, ddim
from talker.schedules import cosine_schedule

VERTICES = 7


def make_model(layers=1, identities=("a", "b"), **changes):
    """A small one with random weights in the motion decoder too, which starts at zero."""
    torch.manual_seed(0)
    config = ThreeDiFaceConfig(
        identities=list(identities), audio_dim=5, voice_dim=4, alpha_bars=cosine_schedule(20).alpha_bars.tolist(),
        hidden_dim=8, identity_dim=8, layers=layers, face="seven", face_vertices=VERTICES, correctives=[["jawOpen"]],
        **changes,
    )  # fmt: skip
    model = ThreeDiFace(config).eval()
    torch.nn.init.normal_(model.motion_decoder.weight, std=0.3)
    model.face.targets.normal_(std=0.01)
    return model


@pytest.fixture
def model():
    return make_model()


def predict(model, x, audio, step=3, identity="a"):
    with torch.inference_mode():
        return model(x, torch.full((len(x),), step), model.condition(audio, identity if model.library else None))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("layers, reach", [(1, (24, 39)), (2, (10, 53))])
def test_a_frame_of_noise_reaches_as_far_as_the_convolutions(layers, reach, skip):
    """By hand for one halving, of frame 32: a kernel of 3 makes it 31 to 33, at half the rate 15 and 16, two kernels of 3
    there 13 to 18, at the full rate 26 to 37, and the last two kernels of 3 24 to 39."""
    model = make_model(layers, skip=skip).double()
    audio, x = torch.randn(64, 5), torch.randn(1, 64, 3 * VERTICES).double()
    changed = x.clone()
    changed[:, 32] += 1
    moved = (predict(model, x, audio) - predict(model, changed, audio)).abs().amax(dim=(0, 2))
    assert moved.nonzero().flatten().tolist() == list(range(reach[0], reach[1] + 1))


def test_any_length_is_denoised_as_a_whole(model):
    for frames in (1, 2, 7, 30, 61):
        assert predict(model, torch.randn(2, frames, 21), torch.randn(frames, 5)).shape == (2, frames, 21)
    # Longer than a window of the other models: nothing is cut, so the middle is the same as without the ends.
    x, audio = torch.randn(1, 400, 21), torch.randn(400, 5)
    whole = predict(model, x, audio)
    part = predict(model, x[:, 100:300], audio[100:300])
    assert torch.allclose(whole[:, 110:290], part[:, 10:190], atol=1e-5)


def test_faceformers_frames_see_no_motion_that_is_to_come():
    model = make_model(backbone="transformer")
    audio, x = torch.randn(40, 5), torch.randn(1, 40, 21)
    changed = x.clone()
    changed[:, 20] += 1
    moved = (predict(model, x, audio) - predict(model, changed, audio)).abs().amax(dim=(0, 2)) > 1e-7
    assert moved.tolist() == [frame >= 20 for frame in range(40)]


@pytest.mark.parametrize("backbone", ["attention", "transformer"])
def test_the_networks_of_table_2_hear_what_they_should(backbone):
    """Both take any length; a frame hears its own speech in FaceFormer's single layer, and all of it by attention."""
    model = make_model(backbone=backbone)
    for frames in (1, 7, 61):
        assert predict(model, torch.randn(2, frames, 21), torch.randn(frames, 5)).shape == (2, frames, 21)
    audio, x = torch.randn(64, 5), torch.randn(1, 64, 21)
    changed = audio.clone()
    changed[32] += 1
    moved = (predict(model, x, audio) - predict(model, x, changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == ([32] if backbone == "transformer" else list(range(64)))
    with pytest.raises(TalkerError, match="no backbone gru; choose one of convolution, attention, transformer"):
        make_model(backbone="gru")


def test_takes_speech_and_speakers_do_not_mix(model):
    x, audio = torch.randn(2, 30, 21), torch.randn(30, 5)
    both = predict(model, x, audio)
    assert torch.allclose(both[1:], predict(model, x[1:], audio), atol=1e-6)
    # The speaker's vector is added before one linear layer: speakers differ by the same in every frame.
    apart = both - predict(model, x, audio, identity="b")
    of_hand = (model.library.embedding("a") - model.library.embedding("b")) @ model.motion_decoder.weight.T
    assert torch.allclose(apart, of_hand.expand_as(apart), atol=1e-5)


def test_with_skips_silent_blocks_pass_on_what_the_encoder_heard():
    """Blocks that say nothing leave the motion encoder's output as it is, and without skips nothing of it."""
    outputs = []
    for skip in (True, False):
        model = make_model(skip=skip, identities=())
        for name, parameter in model.backbone.named_parameters():
            if not name.startswith("down."):
                torch.nn.init.zeros_(parameter)
        x = torch.randn(1, 10, 21, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            heard = model.motion_encoder(x) + model.step_encoder(torch.tensor([150.0]))[:, None]
            outputs.append((predict(model, x, torch.randn(10, 5)), model.motion_decoder(heard)))
    assert torch.allclose(*outputs[0], atol=1e-5)
    assert torch.allclose(outputs[1][0], torch.zeros(1, 10, 21), atol=1e-6)


def test_without_speech_only_the_speech_is_gone(model):
    x, step = torch.randn(2, 30, 21), torch.tensor([3, 3])
    first, second = (model.condition(torch.randn(30, 5), "a") for _ in range(2))
    with torch.inference_mode():
        gone = model(x, step, first.without(audio=True))
        assert torch.equal(gone, model(x, step, second.without(audio=True)))
        assert not torch.allclose(gone, model(x, step, first))
        half = model(x, step, first.repeat(2).without(audio=torch.tensor([True, False])))
        assert torch.allclose(half[0], gone[0]) and torch.allclose(half[1], model(x, step, first)[1])
        # Eq. 3 by hand: s = 0.5 is half-way between the two.
        mixed = guided(model, {"audio": 0.5})(x, step, first)
        assert torch.allclose(mixed, (gone + model(x, step, first)) / 2, atol=1e-6)


def test_the_same_takes_whatever_their_number_and_no_windows(model, monkeypatch):
    """sample goes past talker.windows, whose cross-fades a convolution does not need."""
    monkeypatch.setattr("talker.models.motion_model.windowed", None)
    condition, noise = model.condition(torch.randn(340, 5), "b"), torch.randn(2, 340, 21)
    with torch.inference_mode():
        takes = model.sample(ddim, condition, noise, steps=4)
        assert torch.allclose(takes[:1], model.sample(ddim, condition, noise[:1], steps=4), atol=1e-5)


@pytest.mark.parametrize("sampler, lip_guidance", [("ddim", 0.0), ("ddim", 1.2), ("dpm-solver++", 0.9), ("ancestral", 0.0)])
def test_takes_are_those_of_steps_on_vertices(sampler, lip_guidance):
    """Steps on what the linear layers pass on give what the plain loop gives, each x0 kept in the range of the training
    motion, and need no noise of all coordinates. Lips are guided by more than the rest where the model says so."""
    model = make_model(skip=True, lip_guidance=lip_guidance)
    scale = 0.5 + model.lip_share() * (max(lip_guidance, 0.5) - 0.5)
    axes = torch.linalg.qr(torch.randn(21, 3))[0].T.numpy()
    model.set_range(axes, np.array([[-0.2, -9, -9], [0.1, 9, 9]]), np.stack([np.full(21, -9.0), np.full(21, 9.0)]))
    condition, noise = model.condition(torch.randn(30, 5), "b"), model.start_noise(torch.randn(2, 30, 21))
    seen: list[tuple] = []
    kind = SAMPLERS[sampler]

    def watched(denoiser, shape, *rest, **options):
        seen.append(shape)
        return kind(denoiser, shape, *rest, **options)

    with torch.inference_mode():
        short = model.sample(watched, condition, noise, 6, {"audio": 0.5}, eta=0.0)

        def free(x, step, condition):
            without = model(x, step, condition.without(audio=True))
            return without + scale * (model(x, step, condition) - without)

        def kept(x, step, condition):
            made = free(x, step, condition)
            place = made @ torch.from_numpy(axes[0])
            return made + (place.clamp(-0.23, 0.13) - place)[..., None] * torch.from_numpy(axes[0])

        plain = kind(kept, (2, 30, 21), model.schedule, condition, 6, noise=noise, eta=0.0)
        unkept = kind(free, (2, 30, 21), model.schedule, condition, 6, noise=noise, eta=0.0)
    assert seen == [(2, 30, 24 + AXES)]
    assert torch.allclose(short, plain, atol=1e-4) and not torch.allclose(short, unkept, atol=0.1)
    assert (short @ torch.from_numpy(axes[0])).abs().max() < 0.24
    # Of a coordinate that never went beyond 0.1 the last x0 goes no further than that and a fiftieth of its range.
    model.vertex_range[:, 4] = torch.tensor([-0.104, 0.104])
    with torch.inference_mode():
        limited = model.sample(kind, condition, noise, 6, {"audio": 0.5}, eta=0.0)
    assert torch.allclose(limited[..., 4], short[..., 4].clamp(-0.104, 0.104)) and short[..., 4].abs().max() > 0.11


def test_noise_that_is_added_on_the_way_has_the_same_spread():
    """Of many takes by ancestral steps, the mean and the variance of every coordinate, made both ways."""
    model = make_model(skip=True)
    condition, takes = model.condition(torch.randn(4, 5), "b"), 3000
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        noise = torch.randn(takes, 4, 21, generator=generator)
        short = model.sample(ancestral, condition, noise, 6, {"audio": 0.5}, generator=generator)
        plain = ancestral(guided(model, {"audio": 0.5}), (takes, 4, 21), model.schedule, condition, 6, generator=generator)
    error = (plain.var(dim=0) / takes).sqrt()
    assert plain.std(dim=0).min() > 0.01
    assert ((short.mean(dim=0) - plain.mean(dim=0)).abs() < 6 * error).all()
    assert torch.allclose(short.std(dim=0), plain.std(dim=0), rtol=0.1)


def test_coefficients_become_vertices_and_vertices_coefficients(model):
    coefficients = torch.zeros(4, 52)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = torch.tensor([0.0, 0.25, 0.5, 1.0])
    mean = np.linspace(-0.01, 0.01, 21)
    model.set_statistics((mean, 0.02), (np.zeros(5), np.ones(5)))
    vertices = model.to_vertices(model.standardise(coefficients))
    jaw, half = model.face.targets[ARKIT_INDEX["jawOpen"]], model.face.targets[52]
    assert vertices.shape == (4, VERTICES, 3)
    assert torch.allclose(vertices[1], 0.25 * jaw + 0.75 * half, atol=1e-7)
    # One scale for all coordinates: the sum of their variances is VARIANCE.
    assert torch.allclose(model.motion_std, torch.full((21,), (0.02 / VARIANCE) ** 0.5))
    # The head's angles say nothing about vertices, and vertices in metres are taken as they are.
    assert torch.equal(model.standardise(torch.cat([coefficients, torch.ones(4, 3)], dim=1)), model.standardise(coefficients))
    assert torch.allclose(model.standardise(vertices.flatten(1)), model.standardise(coefficients), atol=1e-5)
    # Seven vertices cannot tell 52 shapes apart, but what is found moves them as far.
    found, head = model.to_motion(model.standardise(coefficients)[None])
    assert found.shape == (1, 4, 52) and not head.any() and head.shape == (1, 4, 3)
    assert torch.allclose(model.face.displacements(found[0]), vertices.flatten(1), atol=2e-4)
    with pytest.raises(TalkerError, match="8 vertices and the model's face “seven” 7"):
        model.standardise(torch.zeros(2, 24))


def test_less_noise_to_start_from_where_lips_and_jaw_move_and_more_elsewhere():
    model = make_model(lip_noise=0.4, upper_noise=1.4)
    model.face.targets.zero_()
    model.face.targets[ARKIT_INDEX["jawOpen"], 0] = 0.01
    model.face.targets[ARKIT_INDEX["browInnerUp"], 1] = 0.01
    model.face.targets[[ARKIT_INDEX["mouthPucker"], ARKIT_INDEX["cheekPuff"]], 2] = 0.01
    scaled = model.start_noise(torch.ones(1, 1, 21))[0, 0].view(VERTICES, 3)[:, 0]
    assert scaled[:4].tolist() == pytest.approx([0.4, 1.4, 0.9, 1.4])


def test_lips_follow_the_speech_where_the_rest_of_the_face_is_free():
    """A vertex that lips alone move is guided by lip_guidance, one that brows alone move by the scale; 0 frees both."""
    model = make_model(lip_guidance=1.0)
    model.face.targets.zero_()
    model.face.targets[ARKIT_INDEX["jawOpen"], 0] = 0.01
    model.face.targets[ARKIT_INDEX["browInnerUp"], 1] = 0.01
    assert model.lip_share().tolist()[:6] == [1, 1, 1, 0, 0, 0]
    condition, noise = model.condition(torch.randn(12, 5), "a"), torch.randn(1, 12, 21)
    with torch.inference_mode():
        heard, unheard, half = (model.sample(ddim, condition, noise, 1, {"audio": scale}) for scale in (1.0, 0.0, 0.5))
    assert torch.allclose(half[..., :3], heard[..., :3], atol=1e-5)
    assert torch.allclose(half[..., 3:6], (heard + unheard)[..., 3:6] / 2, atol=1e-5)
    assert not torch.allclose(heard[..., :3], unheard[..., :3], atol=1e-2)


def test_settings_that_do_not_fit_get_a_sentence():
    with pytest.raises(TalkerError, match="no head"):
        make_model(channels=[*ARKIT_INDEX, "yaw", "pitch", "roll"])
    with pytest.raises(TalkerError, match="8 channels"):
        ThreeDiFace(ThreeDiFaceConfig(["a"], 5, 4, identity_dim=32, hidden_dim=8))


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    CompactSpeechModel(CompactSpeechConfig(hidden_size=16, gru_size=8, feature_size=5, voice_size=4)).save_pretrained(folder)
    return Talker(make_model(), SpeechEncoder.from_pretrained(str(folder)), "tiny", torch.device("cpu"))


def test_takes_hold_the_vertices_and_the_coefficients_fitted_to_them(talker, rng):
    speech = speech_from_array((0.1 * rng.normal(size=16_000)).astype(np.float32), 16_000, "noise")
    takes = talker.speak(speech, takes=2, steps=4)
    assert takes.vertices.shape == (2, 30, VERTICES, 3) and takes.vertex_index.tolist() == list(range(VERTICES))
    assert takes.rig == talker.denoiser.face.fingerprint and not takes.head.any()
    fitted = talker.denoiser.face.coefficients(torch.from_numpy(takes.vertices.astype(np.float32)).flatten(2))
    assert np.abs(talker.denoiser.face.displacements(fitted).numpy() - talker.denoiser.face.displacements(
        torch.from_numpy(takes.coefficients)).numpy()).max() < 1e-3  # fmt: skip
    # Half-way to takes that hear no speech unless asked for otherwise, which differ more.
    assert np.array_equal(takes.vertices, talker.speak(speech, takes=2, steps=4, guidance=0.5).vertices)
    assert not np.array_equal(takes.vertices, talker.speak(speech, takes=2, steps=4, guidance=1.0).vertices)
    with pytest.raises(TalkerError, match="without guidance by style"):
        talker.speak(speech, guidance={"style": 2.0})


def test_given_coefficients_come_back_and_their_vertices_are_the_rigs(talker, rng):
    speech = speech_from_array((0.1 * rng.normal(size=16_000)).astype(np.float32), 16_000, "noise")
    motion = Motion(rng.uniform(0, 0.5, (30, 52)).astype(np.float32), np.zeros((30, 3), np.float32))
    takes = talker.speak(speech, takes=2, steps=4, edit=plan_edit(motion, keep=(0.2, 0.0)))
    assert np.array_equal(takes.coefficients[:, :6], np.broadcast_to(motion.coefficients[:6], (2, 6, 52)))
    rig = talker.denoiser.face.displacements(torch.from_numpy(motion.coefficients[:6])).view(6, VERTICES, 3).numpy()
    assert np.abs(takes.vertices[:, :6].astype(np.float32) - rig).max() < 1e-4
    assert not np.array_equal(takes.vertices[0, 10:], takes.vertices[1, 10:])
