"""Classifier-free guidance against sums worked out by hand."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from talker.errors import TalkerError
from talker.guidance import guidance_scales, guided, parse_guidance


@dataclass(frozen=True)
class Parts:
    """A condition of two numbers; a part that is left out is 0."""

    audio: float
    style: float = 0.0

    def without(self, audio: bool = False, style: bool = False) -> Parts:
        return dataclasses.replace(
            self, audio=0.0 if audio else self.audio, style=0.0 if style else self.style
        )  # fmt: skip


class Recorder:
    """A denoiser that is x + 10 audio + 100 audio·style, + style where there is no audio, and counts its calls."""

    def __init__(self):
        self.seen: list[Parts] = []

    def __call__(self, x, step, condition):
        self.seen.append(condition)
        return x + 10 * condition.audio + condition.style * (100 * condition.audio + (condition.audio == 0))


X, STEP = torch.zeros(2, 3, 4), torch.ones(2, dtype=torch.long)


@pytest.mark.parametrize(
    "scales, expected, calls",
    [
        # D(∅, ∅) = 0, D(audio, ∅) = 10, D(audio, style) = 210: 0 + 1.5 · (10 - 0) + 3 · (210 - 10).
        ({"audio": 1.5, "style": 3.0}, 615.0, [(0, 0), (1, 0), (1, 2)]),
        ({"style": 3.0, "audio": 1.5}, 615.0, [(0, 0), (1, 0), (1, 2)]),  # the order is the paper's
        ({"audio": 1.0, "style": 3.0}, 610.0, [(1, 0), (1, 2)]),
        ({"audio": 0.5, "style": 0.5}, 105.0, [(0, 0), (1, 2)]),
        ({"audio": 1.0, "style": 1.0}, 210.0, [(1, 2)]),  # no extra pass
        ({"audio": 1.0, "style": 0.0}, 10.0, [(1, 0)]),  # the style is not heard of
        ({"audio": 0.0, "style": 0.0}, 0.0, [(0, 0)]),  # unconditional
        ({}, 210.0, [(1, 2)]),
    ],
)
def test_incremental_guidance_of_diffposetalk(scales, expected, calls):
    denoiser = Recorder()
    result = guided(denoiser, scales)(X, STEP, Parts(1.0, 2.0))
    assert torch.allclose(result, torch.full_like(X, expected))
    assert denoiser.seen == [Parts(*call) for call in calls]


@pytest.mark.parametrize("scale, expected", [(0.5, 5.0), (1.0, 10.0), (2.0, 20.0), (0.0, 0.0)])
def test_guidance_of_3diface_lies_between_its_two_predictions_or_beyond(scale, expected):
    denoiser = Recorder()
    assert torch.allclose(guided(denoiser, {"audio": scale})(X, STEP, Parts(1.0)), torch.full_like(X, expected))
    assert len(denoiser.seen) == (2 if scale not in (0, 1) else 1)


def test_scales_of_a_model_are_complete_or_none():
    both = ("audio", "style")
    assert guidance_scales({"style": 3}, both, "m") == {"audio": 1.0, "style": 3.0}
    assert guidance_scales(1.15, both, "m") == {"audio": 1.15, "style": 1.0}
    assert guidance_scales(0.5, ("audio",), "m") == {"audio": 0.5}
    assert guidance_scales(None, both, "m") == guidance_scales(1.0, both, "m") == guidance_scales(None, (), "m") == {}


@pytest.mark.parametrize(
    "guidance, guidances, sentence",
    [
        (2.0, (), "leave the guidance out"),
        ({"style": 2.0}, ("audio",), "guided by audio"),
        ({"identity": 2.0}, ("audio", "style"), "guided by audio and style"),
        (-1.0, ("audio",), "from 0 up, not -1"),
        (float("nan"), ("audio",), "not nan"),
    ],
)
def test_what_a_model_cannot_be_guided_by_is_refused(guidance, guidances, sentence):
    with pytest.raises(TalkerError, match=sentence):
        guidance_scales(guidance, guidances, "m")


def test_guidance_on_the_command_line():
    assert parse_guidance("1.15") == 1.15
    assert parse_guidance("audio=1.15, style=3") == {"audio": 1.15, "style": 3.0}
    for text in ("much", "audio=1.15,3", "audio=", "audio=1=2"):
        with pytest.raises(TalkerError, match="no guidance"):
            parse_guidance(text)
