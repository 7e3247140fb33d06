"""What lies between 3DiFACE's motion encoder and motion decoder: its convolutions, and the two networks that they are
compared with in table 2 (a).

Each maps (B, T, width) of noisy motion with the diffusion step, and speech of the same size, to (B, T, width).

The convolutions are those of the released code: kernels of 2 at a stride of 2 down and up, of 3 elsewhere, SiLU
after each, twice the channels at half the rate, where the speech of two frames is stacked. Chosen here: sequences are
padded at their end to what can be halved, and by their first and last frame within convolutions. Of the other two the
paper says what was exchanged and not how; they have the same sizes.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

HEADS = 4
"""Of all attention, as FaceFormer has it for VOCASET."""

PERIOD = 30
"""Frames after which FaceFormer's positions repeat: a second, as it has it for VOCASET."""

LONGEST = 1800
"""Positions are counted from a random one up to this in training, so that longer sequences hold nothing new."""


def convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    """A convolution over three frames that keeps their number, and SiLU."""
    return nn.Sequential(
        nn.Conv1d(channels_in, channels_out, kernel_size=3, padding=1, padding_mode="replicate"), nn.SiLU()
    )


def positions(frames: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of frame numbers (T,) -> (T, width) (Vaswani et al. 2017)."""
    angles = frames[:, None] * torch.exp(-math.log(10000.0) * torch.arange(0, width, 2, device=frames.device) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class Concatenation(nn.Module):
    """A convolution over three frames of speech beside what was made so far, added to it or not; both (B, C, T)."""

    def __init__(self, width: int, skip: bool):
        super().__init__()
        self.convolution, self.skip = convolution(2 * width, width), skip

    def forward(self, hidden: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        made = self.convolution(torch.cat([hidden, speech], dim=1))
        return hidden + made if self.skip else made


class SpeechAttention(nn.Module):
    """Attention of every frame to the whole speech, always added; both (B, C, T)."""

    def __init__(self, width: int, skip: bool):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)

    def forward(self, hidden: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        hidden, speech = hidden.transpose(1, 2), speech.transpose(1, 2)
        start = int(torch.randint(LONGEST, ())) if self.training else 0
        place = positions(start + torch.arange(hidden.shape[1], device=hidden.device), hidden.shape[2])
        heard, _ = self.attention(self.norm(hidden) + place, speech + place, speech, need_weights=False)
        return (hidden + heard).transpose(1, 2)


class ConvolutionBackbone(nn.Module):
    """Section 4: convolutions that halve the frame rate and bring it back, speech concatenated after each.

    skip      : whether layers add to what they are given; see ThreeDiFaceConfig
    condition : class of what brings the speech into a convolution's output
    """

    condition: ClassVar[type[nn.Module]] = Concatenation

    def __init__(self, width: int, layers: int, skip: bool = False):
        super().__init__()
        self.layers, self.skip = layers, skip
        widths = [width * 2**level for level in range(layers + 1)]
        self.first = self.condition(width, skip)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv1d(wide, 2 * wide, kernel_size=2, stride=2), nn.SiLU(), convolution(2 * wide, 2 * wide))
            for wide in widths[:-1]
        )
        self.down_condition = nn.ModuleList(self.condition(wide, skip) for wide in widths[1:])
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose1d(2 * wide, wide, kernel_size=2, stride=2), nn.SiLU(), convolution(wide, wide))
            for wide in widths[-2::-1]
        )
        self.up_condition = nn.ModuleList(self.condition(wide, skip) for wide in widths[-2::-1])

    def forward(self, encoded: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        """encoded, speech : (B, T, width) -> (B, T, width)."""
        frames = encoded.shape[1]
        hidden, heard = (
            F.pad(part.transpose(1, 2), (0, -frames % 2**self.layers), mode="replicate") for part in (encoded, speech)
        )
        levels, passed = [heard], []
        hidden = self.first(hidden, heard)
        for down, condition in zip(self.down, self.down_condition):
            passed.append(hidden)
            levels.append(torch.cat([levels[-1][..., 0::2], levels[-1][..., 1::2]], dim=1))
            hidden = condition(down(hidden), levels[-1])
        for up, condition, heard, before in zip(self.up, self.up_condition, levels[-2::-1], passed[::-1]):
            hidden = condition(up(hidden) + before if self.skip else up(hidden), heard)
        return hidden.transpose(1, 2)[:, :frames]


class AttentionBackbone(ConvolutionBackbone):
    """The same with attention to the speech instead of its concatenation (after MoFusion, Dabral et al. 2023)."""

    condition = SpeechAttention


class TransformerBackbone(nn.Module):
    """FaceFormer's decoder (Fan et al. 2022, sec. 3.3): periodic positions, causal self-attention that favours the near
    past, and attention of frame t to the speech of frame t alone."""

    def __init__(self, width: int, layers: int, skip: bool = False):
        super().__init__()
        decoder = nn.TransformerDecoderLayer(width, HEADS, 2 * width, batch_first=True)
        self.decoder = nn.TransformerDecoder(decoder, layers)
        self.register_buffer("slopes", 2.0 ** (-8.0 * torch.arange(1, HEADS + 1) / HEADS), persistent=False)

    def forward(self, encoded: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        batch, frames, width = encoded.shape
        number = torch.arange(frames, device=encoded.device)
        back = number[:, None] - number
        past = -(back // PERIOD).to(encoded) * self.slopes[:, None, None]
        past = past.masked_fill(back < 0, -torch.inf).repeat(batch, 1, 1)
        other = back != 0
        return self.decoder(encoded + positions(number % PERIOD, width), speech, tgt_mask=past, memory_mask=other)


BACKBONES: dict[str, type[nn.Module]] = {
    "convolution": ConvolutionBackbone, "attention": AttentionBackbone, "transformer": TransformerBackbone,
}  # fmt: skip
"""By the name in ThreeDiFaceConfig; the first is the paper's own."""
