"""Classifier-free guidance: how closely takes follow their conditions (Ho and Salimans 2022).

A condition that can be guided has `.without(audio=False, style=False)` -> the condition with those
parts replaced by what the model learned for their absence, as talker.models.motion_model.Condition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch

from talker.errors import TalkerError
from talker.samplers import Denoiser

Guidance = float | Mapping[str, float]

PARTS = ("audio", "style")
"""Parts of a condition in the order in which they are added (DiffPoseTalk, section 3.3.3)."""


def guided(denoiser: Denoiser, scales: Mapping[str, float]) -> Denoiser:
    """Wrap a denoiser so that it is guided by some parts of its condition.

    scales : part → scale w. With both parts this is DiffPoseTalk's incremental guidance (eq. 10, after
             Brooks et al. 2023), where ∅ is a part that is left out:
             D(∅, ∅) + w_audio [D(audio, ∅) - D(∅, ∅)] + w_style [D(audio, style) - D(audio, ∅)];
             with one it is 3DiFACE's eq. 3, D(∅) + s [D(condition) - D(∅)]. 1 follows the condition as
             it is, more exaggerates it, less is more diverse, and 0 for all parts is unconditional.
    Predictions that count for nothing are not computed: with 1 for all parts, the denoiser is called once.
    """
    parts = [part for part in PARTS if part in scales]
    if unknown := set(scales) - set(PARTS):
        raise ValueError(f"no part of a condition: {unknown}")
    # With weights 1, w_1, …, w_K, 0 the prediction that knows the first k parts counts w_k - w_(k + 1).
    shares = [one - other for one, other in pairwise([1.0, *(scales[part] for part in parts), 0.0])]
    terms = [(share, parts[known:]) for known, share in enumerate(shares) if share]

    def denoise(x: torch.Tensor, step: torch.Tensor, condition: Any) -> torch.Tensor:
        return sum(
            share * denoiser(x, step, condition.without(**dict.fromkeys(missing, True)) if missing else condition)
            for share, missing in terms
        )

    return denoise


def guidance_scales(guidance: Guidance | None, guidances: Sequence[str], model: str) -> dict[str, float]:
    """The scale of every part that a model can be guided by: 1 for those not named; {} where all are 1.

    guidance  : a scale of the audio, or part → scale; None for no guidance
    guidances : parts that the model was trained to do without; model : its name, for messages
    Raises TalkerError for parts that the model cannot do without and for scales that are no numbers from 0 up.
    """
    if guidance is None:
        return {}
    asked = guidance if isinstance(guidance, Mapping) else {"audio": guidance}
    for part, scale in asked.items():
        if part not in guidances:
            known = f"it can be guided by {' and '.join(guidances)}" if guidances else "leave the guidance out"
            raise TalkerError(f"The model {model} was trained without guidance by {part}; {known}.")
        if not (math.isfinite(scale) and scale >= 0):
            raise TalkerError(f"A guidance scale is a number from 0 up, not {scale:g}; 1 follows the {part} as it is.")
    scales = {part: float(asked.get(part, 1.0)) for part in guidances}
    return scales if any(scale != 1 for scale in scales.values()) else {}


def parse_guidance(text: str) -> Guidance:
    """"1.15" as 1.15 and "audio=1.15,style=3" as {"audio": 1.15, "style": 3.0}. TalkerError for other text."""
    try:
        if "=" not in text:
            return float(text)
        pairs = (part.split("=") for part in text.split(","))
        return {part.strip(): float(scale) for part, scale in pairs}
    except ValueError:
        raise TalkerError(f"“{text}” is no guidance; give a scale, or one for each part, as in audio=1.15,style=3.") from None
