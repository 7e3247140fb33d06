"""Personalise: what comes of it can be chosen, speaks, and comes back from its file."""

from __future__ import annotations

from functools import partial

import gradio as gr
import numpy as np
import pytest
import soundfile

import page.personalise
from page.models import Models
from page.personalise import added, outcome, personalise_with
from page.settings import offers
from talker.audio import SAMPLE_RATE, load_speech
from talker.errors import TalkerError
from talker.formats import write_live_link_csv
from talker.personalise import personalise, read_delta
from tests.page.test_settings import NOBODY
from tests.page.tiny_models import write_tiny_models


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return Models(write_tiny_models(tmp_path_factory.mktemp("checkpoints")))


@pytest.fixture
def two_steps(monkeypatch):
    """Training so short that nothing is learned."""
    monkeypatch.setattr(page.personalise, "personalise", partial(personalise, steps=2))


@pytest.fixture
def recordings(models, example_clip, tmp_path) -> tuple[list[str], list[str]]:
    """Two copies of a recording, and of the motion that the default model makes of it."""
    speech = load_speech(example_clip)
    motion = NOBODY.speak(models, speech, 1, 0, None).motions[0]
    paths = [tmp_path / f"{i}.wav" for i in range(2)]
    for path in paths:
        soundfile.write(path, speech.samples, SAMPLE_RATE)
    return [str(path) for path in paths], [str(write_live_link_csv(motion, path.with_suffix(".csv"))) for path in paths]


@pytest.mark.parametrize("model", ["diffusiontalker", "tiny-diffposetalk"])
def test_a_personalised_model_can_be_chosen_and_kept(models, recordings, two_steps, model, example_clip, tmp_path):
    run = personalise_with(models)("Zoë", *recordings, model, {}, progress=lambda *_, **__: None)
    report, file, personal, chooser = next(run)
    (label,) = personal
    assert label == f"{model} for Zoë" and chooser.value == label and "Zoë" in report
    kept = read_delta(file.value["path"] if isinstance(file.value, dict) else file.value)
    assert kept.model == model and outcome(kept) == outcome(personal[label])
    assert added(models, kept, {})[0].keys() == personal.keys()

    talker = models.talker(label, personal=personal)
    assert talker.identities == (["Zoë"] if model == "diffusiontalker" else [])
    assert offers(talker, models.summary(label, personal))["model"]["info"].endswith("fine-tuned on Zoë")
    speech = load_speech(example_clip)
    own, base = (
        NOBODY._replace(model=name, personal=personal).speak(models, speech, 1, 0, None).coefficients
        for name in (label, model)
    )
    assert not np.array_equal(own, base)


def test_what_cannot_be_learned_from_gets_a_sentence(models, recordings, two_steps):
    speech, motion = recordings
    for given, sentence in (
        ((None, motion), "There is nothing to learn from yet"),
        ((speech, motion[:1]), "There are 2 recordings and 1 motions"),
    ):
        with pytest.raises(gr.Error, match=sentence):
            next(personalise_with(models)("Zoë", *given, "diffusiontalker", {}, progress=lambda *_, **__: None))
    with pytest.raises(TalkerError, match="There is no model 'lost' here"):
        models.talker("lost")
