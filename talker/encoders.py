"""Speech encoders: speech → one feature vector a motion frame, and one vector for the voice.

`SpeechEncoder` wraps any speech model of transformers. The embedded default is `CompactSpeechModel`,
small enough for the repository; it is registered with AutoModel and loads the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import torch
from scipy import fft
from torch import Tensor, nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import Wav2Vec2FeatureExtractor
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging as transformers_logging

from talker.audio import SAMPLE_RATE, Speech
from talker.errors import TalkerError
from talker.motion import FPS

FRAME_LENGTH = 0.025
"""Seconds of one analysis window of the MFCC front end."""
FRAME_SHIFT = 0.010
"""Seconds between analysis windows."""

MEL_BINS, CEPSTRA, LIFTER = 23, 13, 22.0
"""Kaldi's MFCC: mel bins, cepstra kept, cepstral lifter."""

STEADY_PERCENTILE = 20
"""What suppression takes for the noise of a mel band: this percentile of its energies over the utterance,"""

STEADY_FACTOR = 1.5
"""times this: the energies of one window scatter widely around their mean. In white noise at 15 dB the encoder misses fewest
closures of its training speakers, and names most of their phones right, with it (2.5: more of both wrong; 1: too)."""

MOST_SUPPRESSED_DB = 10.0
"""More than this is not taken away, so that what was no noise after all is still heard."""

NOISY_DB, CLEAN_DB = 15.0, 25.0
"""Loud windows (95th percentile) over the quiet ones (STEADY_PERCENTILE): up to the first the suppression is whole, from
the second on the recording is left as it is. White noise at a signal-to-noise ratio of 15 dB leaves 5 to 17 dB."""



@dataclass(frozen=True)
class SpeechFeatures:
    """What a denoiser hears.

    frames : (T, D) float32, one row a motion frame
    voice  : (E,) float32, the whole utterance, for matching identities
    """

    frames: np.ndarray
    voice: np.ndarray


def _frame_options(options) -> None:
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.frame_opts.frame_length_ms = 1000 * FRAME_LENGTH
    options.frame_opts.frame_shift_ms = 1000 * FRAME_SHIFT


def _run(online, samples: np.ndarray) -> np.ndarray:
    shortest = int(FRAME_LENGTH * SAMPLE_RATE) + int(FRAME_SHIFT * SAMPLE_RATE)
    if len(samples) < shortest:
        samples = np.pad(samples, (0, shortest - len(samples)))
    online.accept_waveform(SAMPLE_RATE, samples.astype(np.float32))
    online.input_finished()
    return np.stack([online.get_frame(i) for i in range(online.num_frames_ready)]).astype(np.float32)


def raw_mfcc(samples: np.ndarray) -> np.ndarray:
    """(n,) samples at 16 kHz → (T, 13) Kaldi MFCCs every 10 ms, not normalised."""
    options = kaldi_native_fbank.MfccOptions()
    _frame_options(options)
    options.mel_opts.num_bins = MEL_BINS
    options.num_ceps = CEPSTRA
    options.use_energy = False
    return _run(kaldi_native_fbank.OnlineMfcc(options), samples)


def mfcc(samples: np.ndarray, suppress_noise: bool = False) -> np.ndarray:
    """(n,) samples at 16 kHz → (T, 13) Kaldi MFCCs every 10 ms, mean 0 and variance 1 over the utterance.

    suppress_noise : weaken what is steady in a noisy recording (noise_gains)
    """
    cepstra = raw_mfcc(samples)
    if suppress_noise:
        cepstra = cepstra + to_cepstra(noise_gains(raw_fbank(samples, MEL_BINS)))
    return (cepstra - cepstra.mean(0)) / np.maximum(cepstra.std(0), 1e-3)


def to_cepstra(log_mel: np.ndarray) -> np.ndarray:
    """(…, 23) log-mel energies → (…, 13) liftered cepstra, as Kaldi's feature-mfcc.cc; linear, so that what is added to
    the one can be added to the other."""
    lifter = 1 + 0.5 * LIFTER * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    return (fft.dct(log_mel, axis=-1, norm="ortho")[..., :CEPSTRA] * lifter).astype(np.float32)


def noise_gains(log_mel: np.ndarray) -> np.ndarray:
    """Log-mel energies (T, B) → what to add to them (T, B) so that steady noise gets weaker; 0 for clean recordings.

    Spectral subtraction (Boll 1979) of energies in mel bands, with a floor. A recording's noise is what its bands do
    not fall below; the constants above say how much of it is taken away, and when.
    """
    energy = np.exp(log_mel.astype(np.float64))
    level = np.log(np.maximum(energy.sum(1), 1e-20))
    range_db = 10 / np.log(10) * (np.percentile(level, 95) - np.percentile(level, STEADY_PERCENTILE))
    share = np.clip((CLEAN_DB - range_db) / (CLEAN_DB - NOISY_DB), 0, 1)
    noise = STEADY_FACTOR * np.percentile(energy, STEADY_PERCENTILE, axis=0)
    kept = np.maximum(1 - noise / np.maximum(energy, 1e-20), 10 ** (-MOST_SUPPRESSED_DB / 10))
    return share * np.log(kept)


def raw_fbank(samples: np.ndarray, bins: int = 40) -> np.ndarray:
    """(n,) samples at 16 kHz → (T, bins) Kaldi log-mel energies every 10 ms."""
    options = kaldi_native_fbank.FbankOptions()
    _frame_options(options)
    options.mel_opts.num_bins = bins
    options.use_energy = False
    return _run(kaldi_native_fbank.OnlineFbank(options), samples)


def voice_fbank(samples: np.ndarray) -> np.ndarray:
    """(n,) samples at 16 kHz → (T', 40) log-mel energies of the loud half of the frames.

    Only the level is taken away: the long-term spectrum, which per-band normalisation would remove,
    is what tells voices apart.
    """
    mel = raw_fbank(samples)
    level = mel.mean(1)
    loud = mel[level >= np.median(level)]
    return (loud - loud.mean()) / max(float(loud.std()), 1e-3)


class CompactSpeechConfig(PreTrainedConfig):
    """Sizes of the embedded speech encoder.

    suppress_noise : weaken steady noise in what the encoder hears (noise_gains), as its training does
    """

    model_type = "talker-compact-speech"

    def __init__(
        self,
        num_cepstra: int = CEPSTRA,
        num_mel_bins: int = 40,
        hidden_size: int = 256,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2),
        gru_size: int = 192,
        feature_size: int = 128,
        voice_size: int = 64,
        dropout: float = 0.15,
        suppress_noise: bool = False,
        **kwargs,
    ):
        self.num_cepstra = num_cepstra
        self.num_mel_bins = num_mel_bins
        self.hidden_size = hidden_size
        self.dilations = list(dilations)
        self.gru_size = gru_size
        self.feature_size = feature_size
        self.voice_size = voice_size
        self.dropout = dropout
        self.suppress_noise = suppress_noise
        super().__init__(**kwargs)


class _DilatedBlock(nn.Module):
    def __init__(self, width: int, dilation: int, dropout: float):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.mix(torch.relu(self.conv(torch.relu(self.norm(x))))))


class _VoiceNetwork(nn.Module):
    """Convolutions and statistics pooling, as x-vectors (Snyder et al. 2018)."""

    def __init__(self, bins: int, size: int, width: int = 128):
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(bins, width, 5, padding=2), nn.ReLU(), nn.BatchNorm1d(width),
            nn.Conv1d(width, width, 3, padding=1), nn.ReLU(), nn.BatchNorm1d(width),
            nn.Conv1d(width, width, 1), nn.ReLU(), nn.BatchNorm1d(width),
        )  # fmt: skip
        self.embed = nn.Linear(2 * width, size)

    def forward(self, mel: Tensor) -> Tensor:
        hidden = self.frames(mel.transpose(1, 2))
        return self.embed(torch.cat([hidden.mean(2), hidden.std(2, unbiased=False)], 1))


class CompactSpeechModel(PreTrainedModel):
    """Dilated convolutions and one bidirectional GRU over MFCCs, and a small voice network beside them."""

    config_class = CompactSpeechConfig
    main_input_name = "cepstra"

    def __init__(self, config: CompactSpeechConfig):
        super().__init__(config)
        width = config.hidden_size
        self.stem = nn.Sequential(
            nn.Conv1d(config.num_cepstra, width, 5, padding=2), nn.ReLU(),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
        )  # fmt: skip
        self.blocks = nn.Sequential(*[_DilatedBlock(width, d, config.dropout) for d in config.dilations])
        self.gru = nn.GRU(width, config.gru_size, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * config.gru_size, config.feature_size)
        self.normalise = nn.LayerNorm(config.feature_size)
        self.dropout = nn.Dropout(config.dropout)
        self.voice = _VoiceNetwork(config.num_mel_bins, config.voice_size)
        self.post_init()

    def _init_weights(self, module):
        """Every layer keeps the initialisation that PyTorch gives it."""

    def cepstra(self, samples: np.ndarray) -> Tensor:
        """(n,) samples at 16 kHz → (1, T, 13), what the model hears of them."""
        # torch.tensor copies into aligned memory: kernels round differently off alignment, and takes
        # are to come out the same bit for bit.
        return torch.tensor(mfcc(samples, self.config.suppress_noise))[None].to(self.device)

    def convolve(self, cepstra: Tensor) -> Tensor:
        """(B, T, 13) MFCCs every 10 ms → (B, T // 2, hidden_size) every 20 ms, below the GRU."""
        return self.blocks(self.stem(cepstra.transpose(1, 2))).transpose(1, 2)

    def forward(self, cepstra: Tensor, return_dict: bool = True, **_) -> BaseModelOutput:
        """(B, T, 13) MFCCs every 10 ms → last_hidden_state (B, T // 2, feature_size) every 20 ms."""
        hidden, _ = self.gru(self.dropout(self.convolve(cepstra)))
        return BaseModelOutput(last_hidden_state=self.normalise(self.project(self.dropout(hidden))))


AutoConfig.register(CompactSpeechConfig.model_type, CompactSpeechConfig, exist_ok=True)
AutoModel.register(CompactSpeechConfig, CompactSpeechModel, exist_ok=True)


def resample_features(features: Tensor, times: Tensor, frames: int, fps: float) -> Tensor:
    """Linear interpolation of features (T, D), heard at `times` (T,) seconds, at i / fps for i < frames.

    Before the first and after the last time the nearest feature holds.
    """
    if len(times) == 1:
        return features.expand(frames, -1)
    wanted = torch.arange(frames, dtype=times.dtype) / fps
    right = torch.searchsorted(times, wanted).clamp(1, len(times) - 1)
    left = right - 1
    weight = ((wanted - times[left]) / (times[right] - times[left])).clamp(0, 1)[:, None].to(features)
    return features[left] * (1 - weight) + features[right] * weight


class SpeechTrunk(nn.Module):
    """What a speech model has above its convolutions, to be trained with a denoiser (DiffPoseTalk, section 3.2).

    As the paper does, the convolutions' output is resampled to the motion's frame rate below this part, so that it
    makes one feature a frame.
    """

    def __init__(self, config: PreTrainedConfig | dict):
        """config : of the speech model, or what its JSON holds. TalkerError for models built otherwise."""
        super().__init__()
        config = AutoConfig.for_model(**config) if isinstance(config, dict) else config
        model = AutoModel.from_config(config)
        self.compact = isinstance(model, CompactSpeechModel)
        self.parts = ("gru", "project", "normalise") if self.compact else ("feature_projection", "encoder")
        if not self.compact and not all(hasattr(model, part) for part in ("feature_extractor", *self.parts)):
            raise TalkerError(
                f"A {config.model_type} has no convolutions over the waveform to leave as they are; train with another speech "
                "encoder, or set train_encoder: false in the recipe."
            )
        for part in self.parts:
            self.add_module(part, getattr(model, part))
        self.size = config.feature_size if self.compact else config.hidden_size

    def load_from(self, model: PreTrainedModel) -> None:
        """Begin with a trained speech model's weights."""
        for part in self.parts:
            getattr(self, part).load_state_dict(getattr(model, part).state_dict())

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) of the convolutions -> (B, T, size)."""
        if self.compact:
            return self.normalise(self.project(self.gru(features)[0]))
        hidden = self.feature_projection(features)
        return self.encoder(hidden[0] if isinstance(hidden, tuple) else hidden).last_hidden_state


class SpeechEncoder:
    """A frozen speech model. Features of any rate are brought to the motion's by linear interpolation.

    convolutions : stop above the model's convolutions; what follows is a SpeechTrunk's, in the denoiser
    """

    def __init__(self, model: PreTrainedModel, extractor=None, convolutions: bool = False):
        self.model = model.eval().requires_grad_(False)
        self.extractor = extractor
        self.compact = isinstance(model, CompactSpeechModel)
        self.convolutions = convolutions

    @classmethod
    def from_pretrained(
        cls, folder_or_id: str | Path, device: str | torch.device = "cpu", convolutions: bool = False
    ) -> SpeechEncoder:
        """Load from a folder, or by a model hub's id where a hub can be reached. TalkerError if neither."""
        transformers_logging.disable_progress_bar()  # a bar of its own for a second's loading
        try:
            model = AutoModel.from_pretrained(str(folder_or_id), use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:
            raise TalkerError(
                f"The speech encoder {str(folder_or_id)!r} cannot be loaded: it is neither a complete checkpoint "
                "folder nor a model that the hub offers here."
            ) from error
        extractor = None
        if not isinstance(model, CompactSpeechModel):
            try:
                extractor = AutoFeatureExtractor.from_pretrained(str(folder_or_id))
            except (OSError, ValueError):
                # Checkpoints of waveform models need no more than mean 0 and variance 1.
                extractor = Wav2Vec2FeatureExtractor(sampling_rate=SAMPLE_RATE, do_normalize=True)
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()  # out of the memory-mapped file, into aligned memory
        return cls(model.to(device), extractor, convolutions)

    @property
    def feature_size(self) -> int:
        """D, the width of a frame's features."""
        config = self.model.config
        if self.convolutions:
            return config.hidden_size if self.compact else config.conv_dim[-1]
        return config.feature_size if self.compact else config.hidden_size

    @property
    def voice_size(self) -> int:
        """E, the width of the voice vector."""
        return self.model.config.voice_size if self.compact else self.model.config.hidden_size

    @property
    def voice_path(self) -> nn.Module:
        """What of the model hears the voice."""
        return self.model.voice if self.compact else self.model

    @torch.inference_mode()
    def encode(self, speech: Speech, frames: int, fps: float = FPS) -> SpeechFeatures:
        """Speech → features at times 0, 1 / fps, …, (frames − 1) / fps, and the voice vector."""
        device = self.model.device
        if self.compact:
            cepstra = self.model.cepstra(speech.samples)
            hidden = (self.model.convolve(cepstra) if self.convolutions else self.model(cepstra).last_hidden_state)[0].cpu()
            mel = torch.tensor(voice_fbank(speech.samples))[None].to(device)
            voice = self.model.voice(mel)[0].cpu()
            # A feature stands for two analysis windows; its time is the middle of both.
            first, shift = (FRAME_LENGTH + FRAME_SHIFT) / 2, 2 * FRAME_SHIFT
        else:
            inputs = self.extractor(speech.samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").to(device)
            whole = self.model(**inputs).last_hidden_state[0].float().cpu()
            voice = whole.mean(0)
            hidden = self.model.feature_extractor(inputs.input_values)[0].T.float().cpu() if self.convolutions else whole
            first, shift = _feature_clock(self.model.config, speech.seconds, len(hidden))
        times = first + shift * torch.arange(len(hidden), dtype=torch.float64)
        return SpeechFeatures(resample_features(hidden, times, frames, fps).numpy(), voice.numpy())


def _feature_clock(config, seconds: float, count: int) -> tuple[float, float]:
    """Time of the first feature and seconds between features, of a transformers speech model."""
    if getattr(config, "conv_stride", None) and getattr(config, "conv_kernel", None):
        field, stride = 1, 1
        for kernel, step in zip(config.conv_kernel, config.conv_stride):
            field += (kernel - 1) * stride
            stride *= step
        return field / 2 / SAMPLE_RATE, stride / SAMPLE_RATE
    return seconds / count / 2, seconds / count
