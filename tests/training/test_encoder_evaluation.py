"""Measures of the speech encoder on hand-worked cases, and the committed encoder's command."""

import numpy as np
import pytest
import torch

from talker.encoders import CompactSpeechConfig, CompactSpeechModel
from training import encoder_evaluation as evaluation
from training.alignment import PHONES, Phone
from training.speech_encoder import FrameHeads


def frames(text: str) -> np.ndarray:
    return np.array([PHONES.index(label) for label in text.split()])


def test_phone_measures_of_a_hand_worked_case():
    truth = frames("SIL P P B M AA IY SIL")
    heard = frames("SIL P M K AA AA P SIL")
    found = evaluation.phone_measures(truth, heard)
    assert found["phones"] == pytest.approx(4 / 8)
    assert found["phones_in_speech"] == pytest.approx(2 / 6)
    assert found["bilabial_recall"] == pytest.approx(2 / 4)  # P as P and P as M; B and M are missed
    assert found["bilabial_precision"] == pytest.approx(2 / 3)


def test_correlations_are_of_each_term_on_its_own(rng):
    truth = rng.random((50, 6))
    heard = truth.copy()
    heard[:, 1] = -truth[:, 1]
    heard[:, 2] = 0.5
    found = list(evaluation.correlations(truth, heard).values())
    assert found[0] == pytest.approx(1) and found[1] == pytest.approx(-1) and np.isnan(found[2])


def test_lip_measures_of_a_hand_worked_case():
    """Half a second each of P, AA, F, SIL and bʲ, heard every 20 ms from 17.5 ms on."""
    phones = [Phone(label, k / 2, (k + 1) / 2) for k, label in enumerate(["P", "AA", "F", "SIL", "bʲ"])]
    closed = np.zeros(125)
    closed[:25] = 0.9  # P is heard
    closed[25:27] = 0.9  # and 40 ms too long, which is no mistake yet
    closed[40:45] = 0.9  # five of AA's and F's 48 frames further away are heard closed,
    closed[62] = closed[63] = 0.9  # and two of F, its middle among them
    found = evaluation.lip_measures([(phones, closed)])
    assert found["closures_missed"] == 1 / 2 and found["teeth_closed"] == 1
    assert found["false_closures"] == pytest.approx(7 / 48)


def test_every_condition_keeps_length_and_is_drawn_from_its_generator(rng):
    speech = rng.standard_normal(32000).astype(np.float32)
    for name, change in evaluation.conditions([speech[::-1].copy()] * 3).items():
        once, again = (change(speech, np.random.default_rng(4)) for _ in range(2))
        assert len(once) == len(speech) and np.array_equal(once, again), name
        assert np.array_equal(once, speech) == (name == "clean")


def test_an_encoder_hears_every_20_ms(rng):
    torch.manual_seed(0)
    config = CompactSpeechConfig(hidden_size=16, gru_size=8, dilations=(1,), feature_size=8, voice_size=4)
    model, heads = CompactSpeechModel(config).eval(), FrameHeads(8)
    with torch.no_grad():
        heads.phone.weight.zero_(), heads.phone.bias.zero_()
        heads.phone.bias[PHONES.index("M")] = 1
    phone, articulation = evaluation.hear(model, heads, rng.standard_normal(16000).astype(np.float32))
    assert phone.shape == (49,) and set(phone) == {PHONES.index("M")}
    assert articulation.shape == (49, 6) and 0 < articulation.min() and articulation.max() < 1


def test_report_and_card_say_the_same(tmp_path):
    row = {"phones": 0.701, "phones_in_speech": 0.65, "bilabial_recall": 0.612, "bilabial_precision": 0.7}
    terms = dict.fromkeys(evaluation.ARTICULATIONS, 0.5) | {"lip_teeth": float("nan")}
    report = {
        "model": "speech-encoder", "parameters": 2_500_000, "held_out_speakers": 25, "minutes": 5.8,
        "phones": {"clean": row}, "articulation": {"English": terms},
        "lips": {"English": {"closures_missed": 0.2, "teeth_closed": 0.1, "false_closures": 0.015}},
        "bars": [evaluation.Bar("bilabial recall", 0.612, ">=", 0.65).entry()],
    }  # fmt: skip
    (tmp_path / "config.json").write_text(
        '{"model_type": "talker-compact-speech", "rendered_hours": {"real": 5.9}, "speakers": 285, "trained_steps": 1000, "voice_steps": 600}'
    )
    text = evaluation.as_text(report)
    assert "FAILS" in text and "61.2" in text
    assert evaluation.is_encoder(tmp_path) and not evaluation.is_encoder(tmp_path / "nothing")
    evaluation.write_card(report, tmp_path)
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "| clean | 70.1 % | 65.0 % | 61.2 % | 70.0 % |" in card and ">= 65 %: 61.2 %" in card
    assert "5.9 h of recordings" in card and "285 speakers" in card and "| English | 0.50 | – |" in card
    assert "| English | 20.0 % | 10.0 % | 1.5 % |" in card
