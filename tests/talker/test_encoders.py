"""Speech encoders: the front end against another implementation, the clock, and foreign models."""

import json

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from talker import encoders
from talker.audio import SAMPLE_RATE, Speech, load_speech
from talker.errors import TalkerError


def noise(seconds: float, seed: int = 0) -> Speech:
    samples = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE))
    return Speech(samples.astype(np.float32), "noise")


def test_mfccs_have_mean_0_and_variance_1_over_the_utterance():
    cepstra = encoders.mfcc(noise(2).samples)
    assert cepstra.shape == (198, 13)  # 25 ms windows every 10 ms that fit into 2 s
    assert np.allclose(cepstra.mean(0), 0, atol=1e-4)
    assert np.allclose(cepstra.std(0), 1, atol=1e-3)


def test_mfccs_agree_with_published_features_of_the_same_recordings(speech_folder):
    """librispeech-mfcc.npz lies beside the recordings, in steps of 1/16."""
    archive = speech_folder.parent / "librispeech-mfcc.npz"
    if not archive.is_file():
        pytest.skip("the archive of MFCCs is not beside the speech folder")
    with np.load(archive) as file:
        values, lengths, names = file["mfcc"], file["lengths"], [str(n) for n in file["utterances"]]
    stops = np.cumsum(lengths)
    both = [i for i, name in enumerate(names) if (speech_folder / f"{name}.flac").is_file()][:5]
    for i in both:
        ours = encoders.mfcc(load_speech(speech_folder / f"{names[i]}.flac").samples)
        theirs = values[stops[i] - lengths[i] : stops[i]] / 16
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 0.05


def test_features_are_read_between_their_times_as_numpy_does():
    times = torch.tensor([0.0175, 0.0375, 0.0575, 0.0775], dtype=torch.float64)
    features = torch.randn(4, 3)
    resampled = encoders.resample_features(features, times, 5, 50.0).numpy()
    wanted = np.arange(5) / 50
    for column in range(3):
        assert np.allclose(resampled[:, column], np.interp(wanted, times.numpy(), features[:, column].numpy()), atol=1e-6)


def test_a_fresh_compact_encoder_saves_and_loads_as_any_transformers_model(tmp_path):
    model = encoders.CompactSpeechModel(encoders.CompactSpeechConfig(hidden_size=32, gru_size=16, feature_size=24))
    model.eval().save_pretrained(tmp_path)
    encoder = encoders.SpeechEncoder.from_pretrained(tmp_path)
    features = encoder.encode(noise(1.5), 45)
    assert features.frames.shape == (45, encoder.feature_size) == (45, 24)
    assert features.voice.shape == (encoder.voice_size,)
    assert np.array_equal(features.frames, encoders.SpeechEncoder(model).encode(noise(1.5), 45).frames)


def test_a_click_is_heard_at_its_time(tmp_path):
    """Features change around the click, not a tenth of a second beside it."""
    torch.manual_seed(0)
    # One narrow block, and no recurrence: what is heard late or early shows.
    config = encoders.CompactSpeechConfig(hidden_size=64, gru_size=8, dilations=(1,))
    model = encoders.CompactSpeechModel(config).eval()
    torch.nn.init.zeros_(model.gru.weight_hh_l0), torch.nn.init.zeros_(model.gru.weight_hh_l0_reverse)
    encoder = encoders.SpeechEncoder(model)
    quiet = noise(2)
    loud = quiet.samples.copy()
    loud[SAMPLE_RATE : SAMPLE_RATE + 160] += 1.0
    before = encoder.encode(quiet, 60).frames
    after = encoder.encode(Speech(loud, "click"), 60).frames
    # Per-utterance normalisation moves every frame a little; the click's frame moves most.
    change = np.abs(after - before).mean(1)
    assert abs(int(change.argmax()) - 30) <= 2


def test_a_waveform_model_is_wrapped_with_its_own_clock(tmp_path):
    """A tiny HuBERT with the convolutions of facebook/hubert-base-ls960: a feature every 20 ms."""
    config = HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    HubertModel(config).save_pretrained(tmp_path)
    encoder = encoders.SpeechEncoder.from_pretrained(tmp_path)
    assert encoders._feature_clock(config, 1.0, 50) == pytest.approx((0.0125, 0.02))
    features = encoder.encode(noise(2), 60)
    assert features.frames.shape == (60, 16)
    assert features.voice.shape == (16,)


def test_a_missing_encoder_is_one_sentence(tmp_path):
    with pytest.raises(TalkerError, match="speech encoder"):
        encoders.SpeechEncoder.from_pretrained(tmp_path / "nothing")


def test_convolutions_and_trunk_are_the_whole_encoder():
    """So that the upper layers can be trained with a denoiser (DiffPoseTalk), for the compact encoder and for HuBERT."""
    torch.manual_seed(0)
    compact = encoders.CompactSpeechModel(encoders.CompactSpeechConfig(hidden_size=16, gru_size=8, feature_size=12)).eval()
    hubert = HubertModel(
        HubertConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8, 8), conv_kernel=(10, 8),
            conv_stride=(5, 4), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        )
    ).eval()  # fmt: skip
    waveform, cepstra = torch.randn(1, 4000), torch.randn(1, 40, 13)
    for model, heard, below in (
        (compact, cepstra, compact.convolve(cepstra)),
        (hubert, waveform, hubert.feature_extractor(waveform).transpose(1, 2)),
    ):
        trunk = encoders.SpeechTrunk(json.loads(model.config.to_json_string())).eval()
        trunk.load_from(model)
        with torch.inference_mode():
            assert torch.allclose(trunk(below), model(heard).last_hidden_state, atol=1e-5)
        assert trunk.size == model(heard).last_hidden_state.shape[-1]
    with pytest.raises(TalkerError, match="has no convolutions over the waveform"):
        sizes = dict.fromkeys(("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"), 1)
        encoders.SpeechTrunk({"model_type": "wav2vec2-bert", **sizes})


def steady_noise(count: int, seed: int = 0) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def bursts(seconds: float = 2.0) -> np.ndarray:
    """A harmonic sound at 120 Hz, on and off four times a second, between pauses of digital silence."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 40))
    return (0.1 * tone * (np.sin(2 * np.pi * 4 * time) > 0)).astype(np.float32)


def test_log_mel_energies_become_kaldis_cepstra():
    samples = bursts() + steady_noise(2 * SAMPLE_RATE)
    ours = encoders.to_cepstra(encoders.raw_fbank(samples, encoders.MEL_BINS))
    assert np.abs(ours - encoders.raw_mfcc(samples)).max() < 1e-3


def test_suppression_weakens_what_is_steady_and_leaves_clean_recordings_alone():
    clean, noisy = bursts(), bursts() + steady_noise(2 * SAMPLE_RATE)
    assert np.abs(encoders.noise_gains(encoders.raw_fbank(clean, encoders.MEL_BINS))).max() == 0
    loud = encoders.raw_fbank(8 * steady_noise(2 * SAMPLE_RATE) + clean, encoders.MEL_BINS)
    gains = encoders.noise_gains(loud)
    on = loud.mean(1) > np.median(loud.mean(1))
    floor = -encoders.MOST_SUPPRESSED_DB * np.log(10) / 10
    assert gains.min() == pytest.approx(floor) and gains.max() <= 0
    assert gains[~on].mean() < 0.6 * floor  # the pauses are nearly all noise …
    assert gains[on][:, :4].mean() > 0.2 * floor  # … and the lowest bands of the sound are well above it

    def distance(suppress: bool) -> float:
        return float(np.abs(encoders.mfcc(noisy, suppress) - encoders.mfcc(clean)).mean())

    assert distance(suppress=True) <= distance(suppress=False)


def test_spectral_subtraction_by_hand():
    """Two bands of five windows: energies 1 and one loud window, whose band keeps 1 - 1.5 / 10 of its energy."""
    energies = np.ones((5, 2))
    energies[2, 0] = 10.0
    gains = encoders.noise_gains(np.log(energies))
    floor = 10 ** (-encoders.MOST_SUPPRESSED_DB / 10)
    kept = np.full((5, 2), floor)
    kept[2, 0] = 1 - encoders.STEADY_FACTOR / 10
    assert np.allclose(np.exp(gains), kept)  # 7 dB between loud and quiet windows: the suppression is whole


def test_an_encoder_that_suppresses_noise_says_so_in_its_config(tmp_path):
    config = encoders.CompactSpeechConfig(hidden_size=16, gru_size=8, feature_size=12, suppress_noise=True)
    encoders.CompactSpeechModel(config).eval().save_pretrained(tmp_path)
    model = encoders.SpeechEncoder.from_pretrained(tmp_path).model
    heard = model.cepstra(noise(1).samples)[0].numpy()
    assert np.array_equal(heard, encoders.mfcc(noise(1).samples, suppress_noise=True))
    assert not np.array_equal(heard, encoders.mfcc(noise(1).samples))
