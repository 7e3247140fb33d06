"""Settings: what a model offers is what its controls show, and what they say reaches the model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from page.models import Models
from page.settings import HIGHEST_GUIDANCE, Settings, offers
from talker.audio import load_speech
from talker.errors import TalkerError
from talker.formats import write_live_link_csv
from talker.identity import AUTO
from tests.page.tiny_models import STYLES, write_tiny_models

NOBODY = Settings(
    model="diffusiontalker", identity=AUTO, partner="", share=50, steps=2, sampler="ddim", style="", example=None,
    head=True, audio_guidance=1.0, style_guidance=1.0, added={}, personal={},
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return Models(write_tiny_models(tmp_path_factory.mktemp("checkpoints")))


@pytest.fixture(scope="module")
def speech(example_clip):
    return load_speech(example_clip)


def speak(models, speech, **changes):
    return NOBODY._replace(**changes).speak(models, speech, 1, 0, None)


def test_every_model_offers_what_it_has(models):
    shown = {}
    for name in models.summaries:
        found = offers(models.talker(name), models.summary(name))
        shown[name] = {control for control, properties in found.items() if properties.get("visible")}
        assert found["model"]["info"] == models.summaries[name]
    assert shown["diffusiontalker"] == {"identity", "blend", "head"}
    assert shown["tiny-diffposetalk"] == {"styles", "head", "audio_guidance", "style_guidance"}
    assert shown["tiny-3diface"] == {"audio_guidance"}
    posing, moving = (offers(models.talker(name), models.summary(name)) for name in ("tiny-diffposetalk", "tiny-3diface"))
    assert posing["style"]["choices"] == [("None", ""), *((f"{name}: {line}", name) for name, line in STYLES.items())]
    assert (posing["steps"]["maximum"], posing["steps"]["value"]) == (4, 4)
    assert (moving["steps"]["maximum"], moving["steps"]["value"], moving["sampler"]["value"]) == (60, 20, "dpm-solver++")
    assert (moving["audio_guidance"]["maximum"], moving["audio_guidance"]["value"]) == (1.0, 0.5)
    assert posing["style_guidance"]["maximum"] == HIGHEST_GUIDANCE


def test_a_style_by_name_or_by_example_and_its_guidance_reach_the_model(models, speech, tmp_path):
    example = speak(models, speech).motions[0]
    path = str(write_live_link_csv(example, tmp_path / "someone.csv"))
    posing = {"model": "tiny-diffposetalk"}
    takes = [
        speak(models, speech, **posing, **changes)
        for changes in ({}, {"style": "calm"}, {"style": "lively"}, {"style": "calm", "example": path},
                        {"style": "calm", "style_guidance": 3.0})
    ]  # fmt: skip
    assert [one.choices.style for one in takes] == [None, "calm", "lively", "someone.csv", "calm"]
    assert takes[-1].choices.guidance["style"] == 3.0
    made = [one.coefficients for one in takes]
    assert all(not np.array_equal(one, other) for i, one in enumerate(made) for other in made[:i])
    short = dataclasses.replace(example, coefficients=example.coefficients[:20], head=example.head[:20])
    path = str(write_live_link_csv(short, tmp_path / "short.csv"))
    with pytest.raises(TalkerError, match="lasts 0.67 s; give at least 1 s"):
        speak(models, speech, **posing, example=path)


def test_guidance_head_and_sampler_reach_the_model(models, speech):
    low, high = (speak(models, speech, model="tiny-3diface", steps=5, audio_guidance=scale) for scale in (0.0, 1.0))
    assert low.steps == 5 and not np.array_equal(low.coefficients, high.coefficients)
    assert speak(models, speech, head=True).head.any() and not speak(models, speech, head=False).head.any()
    ddim, solver = (speak(models, speech, steps=4, sampler=name) for name in ("ddim", "dpm-solver++"))
    assert not np.array_equal(ddim.coefficients, solver.coefficients)


def test_a_blend_in_percent(models, speech):
    one, other = models.talker("diffusiontalker").identities[:2]
    assert speak(models, speech, identity=one, partner=other, share=25).identity.weights == {one: 0.75, other: 0.25}
    assert speak(models, speech, identity=one, partner=one, share=25).identity.weights == {one: 1.0}
