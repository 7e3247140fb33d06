"""Training of the speech encoder on a toy language: tones for phones."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from talker.audio import SAMPLE_RATE
from talker.encoders import CompactSpeechConfig, SpeechEncoder, mfcc
from talker.checkpoints import load_config
from talker.errors import TalkerError
from talker.pipeline import CHECKPOINTS
from training import encoder_data, encoder_training
from training.alignment import PHONES, Phone
from training.beat import phone_tiers, write_text_grid, write_wav
from training.encoder_training import EncoderObjective, EncoderTrainer, load_encoder
from training.ipa import ARTICULATIONS
from training.recipe import Recipe
from training.speech_encoder import (
    UNKNOWN,
    EncoderBatches,
    EncoderExample,
    EncoderUtterance,
    SpeakerHead,
    feature_times,
    frame_labels,
    frame_loss,
    probabilities,
    render_example,
)

TONES = {"AA": 700.0, "IY": 2500.0, "SIL": None}


def toy_utterance(speaker: int, seconds: float = 4.0) -> EncoderUtterance:
    rng = np.random.default_rng(speaker)
    samples = 0.01 * rng.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)
    phones = []
    for k in range(int(seconds / 0.2)):
        label = list(TONES)[rng.integers(len(TONES))]
        phones.append(Phone(label, 0.2 * k, 0.2 * (k + 1)))
        time = np.arange(int(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
        if TONES[label]:
            samples[int(0.2 * k * SAMPLE_RATE) :][: len(time)] += 0.3 * np.sin(2 * np.pi * TONES[label] * time)
    return EncoderUtterance(samples, phones, speaker)


@pytest.fixture(scope="module")
def examples():
    return [e for s in range(3) for v in range(4) for e in render_example(toy_utterance(s), v, [], np.random.default_rng(s))]


def test_labels_are_the_phones_at_the_features_times():
    phones = [Phone("SIL", 0.0, 0.05), Phone("M", 0.05, 0.1)]
    labels = frame_labels(phones, feature_times(6))  # 0.0175, 0.0375, 0.0575, 0.0775, 0.0975, 0.1175
    assert [PHONES[i] if i != UNKNOWN else None for i in labels] == ["SIL", "SIL", "M", "M", "M", None]
    assert probabilities(labels).sum(1).tolist() == [1, 1, 1, 1, 1, 0]


def test_a_faster_rendering_keeps_labels_on_their_sounds(examples):
    """In every variant, frames of IY are higher in the second cepstrum's terms than frames of AA, wherever they moved to."""
    for example in examples:
        if not np.isin([PHONES.index("AA"), PHONES.index("IY")], example.phone).all():
            continue  # a short piece
        count = len(example.phone)
        cepstra = example.cepstra.reshape(count, 2, -1).mean(1)
        low, high = (cepstra[example.phone == PHONES.index(label)] for label in ("AA", "IY"))
        inside = np.linalg.norm(low - low.mean(0), axis=1).mean()
        assert np.linalg.norm(low.mean(0) - high.mean(0)) > inside


def test_every_third_rendering_is_pieces_that_are_normalised_on_their_own():
    pieces = render_example(toy_utterance(0, seconds=8.0), 3, [], np.random.default_rng(1))
    assert len(pieces) > 2 and all(0.8 < len(p.phone) / 50 <= 3.0 for p in pieces)
    assert all(np.abs(p.cepstra.astype(float).mean(0)).max() < 0.05 for p in pieces)
    assert all(p.mel is None for p in pieces)


def test_training_hears_noise_weakened_as_the_encoder_in_use():
    utterance = toy_utterance(0)
    utterance.samples += 0.1 * np.random.default_rng(0).standard_normal(len(utterance.samples)).astype(np.float32)
    (example,) = render_example(utterance, 0, [], np.random.default_rng(0))
    encoder = EncoderObjective(speakers=1).model["encoder"]
    heard = encoder.cepstra(utterance.samples)[0].numpy()[: len(example.cepstra)]
    assert encoder.config.suppress_noise and load_config(CHECKPOINTS / "speech-encoder")["suppress_noise"] is True
    assert np.abs(heard - example.cepstra).max() < 0.01
    assert np.abs(mfcc(utterance.samples)[: len(heard)] - heard).max() > 0.1


def test_other_languages_teach_articulation_alone():
    utterance = EncoderUtterance(toy_utterance(0).samples, [Phone("y", 0.0, 2.0), Phone("p", 2.0, 4.0)], english=False)
    (example,) = render_example(utterance, 0, [], np.random.default_rng(0))
    assert (example.phone == UNKNOWN).all() and example.mel is None and example.speaker is None
    assert example.articulation[50, 2] == 1 and example.articulation[150, 0] == 1  # rounded, then closed


def test_batches_depend_on_step_and_seed_alone(examples):
    batches = EncoderBatches({"real": examples}, frames=50)
    once, again, later = batches.draw(3, 0, 8), batches.draw(3, 0, 8), batches.draw(4, 0, 8)
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert not torch.equal(once["cepstra"], later["cepstra"])
    assert once["cepstra"].shape == (8, 100, 13) and once["phone"].shape == (8, 50, len(PHONES))


def test_pools_have_their_shares_of_a_batch(examples):
    few = [EncoderExample(e.cepstra, np.full_like(e.phone, UNKNOWN), e.articulation) for e in examples[:2]]
    batches = EncoderBatches({"real": examples, "languages": few}, {"real": 3.0, "languages": 1.0}, frames=50)
    labelled = np.mean([batches.draw(k, 0, 32)["phone"].sum(-1).amax(-1).mean() for k in range(20)])
    assert labelled == pytest.approx(0.75, abs=0.06)


def test_a_pool_may_be_changed_before_the_crop(examples):
    silent = EncoderBatches({"real": examples}, frames=50, change={"real": lambda cepstra, rng: 0 * cepstra})
    assert silent.draw(0, 0, 4)["cepstra"].std() < 0.11  # nothing but the noise of the crop


def test_the_margin_softmax_of_a_hand_worked_case():
    head = SpeakerHead(2, speakers=2, scale=10.0, margin=0.1)
    with torch.no_grad():
        head.speaker.copy_(torch.eye(2))
    loss = head(torch.tensor([[3.0, 4.0]]), torch.tensor([0]))  # cosines 0.6 and 0.8
    assert float(loss.detach()) == pytest.approx(np.log(1 + np.exp(8.0 - 5.0)), abs=1e-5)


def test_closed_lips_and_the_lip_at_the_teeth_weigh_more_where_they_are():
    """Two frames, P and F, of which nothing is heard: every term is a half, and costs ln 2."""
    truth = torch.zeros(1, 2, len(ARTICULATIONS))
    truth[0, 0, ARTICULATIONS.index("lip_closure")] = truth[0, 1, ARTICULATIONS.index("lip_teeth")] = 1
    batch = {"phone": torch.eye(len(PHONES))[None, :2], "articulation": truth, "inside": torch.ones(1, 2, dtype=torch.bool)}

    def terms(**weights):
        logits = torch.zeros(1, 2, len(PHONES)), torch.zeros(1, 2, len(ARTICULATIONS))
        return frame_loss(*logits, batch, **weights)["articulation"].item() / np.log(2)

    assert terms() == pytest.approx(6)
    assert terms(closure=2.0) == pytest.approx(6 + 1 / 2)  # the closed frame's closure, of two frames
    assert terms(teeth=3.0) == pytest.approx(6 + 2 * 2 / 2)  # at the teeth both terms of the lips


def test_tones_are_learned_and_the_encoder_labels_further_speech(examples, tmp_path, monkeypatch):
    recipe = Recipe(
        name="toy", encoder="none", data="tones", steps=140, batch_size=8, learning_rate=4e-3, learning_rate_end=1e-3,
        validate_every=140, save_every=70, validation_batches=1,
    )  # fmt: skip
    config = CompactSpeechConfig(hidden_size=24, gru_size=16, dilations=(1, 2), feature_size=16, voice_size=8, dropout=0.0)
    torch.manual_seed(0)
    batches = EncoderBatches({"real": examples}, frames=50)
    caches = {"train": batches, "validation": batches}
    EncoderTrainer(recipe, EncoderObjective(3, config), caches, tmp_path / "run", progress=False).fit()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-2]["total"] < 0.5 * lines[0]["total"]
    shipped = SpeechEncoder.from_pretrained(tmp_path / "run" / "checkpoint")
    assert shipped.feature_size == 16

    # MFCCs alone, as an archive holds them, get labels from it.
    model, heads = load_encoder(tmp_path / "run" / "checkpoint")
    archive = tmp_path / "further.npz"
    cepstra = examples[0].cepstra
    np.savez(archive, mfcc=np.round(16 * cepstra.astype(float)).astype(np.int8), lengths=[len(cepstra)], utterances=["1-2-3"])
    (found,) = encoder_data.label_cepstra(model, heads, archive, set())
    assert (found.phone.argmax(1) == examples[0].phone).mean() > 0.75
    assert np.corrcoef(found.articulation[:, 4], examples[0].articulation[:, 4])[0, 1] > 0.7  # openness
    assert encoder_data.label_cepstra(model, heads, archive, {"1"}) == []

    # It is labelled as it is, and heard in noise.
    more = encoder_training.with_unlabelled({"real": examples}, model, heads, archive, set(), [toy_utterance(0).samples])
    (again,) = more.pools["unlabelled"]
    assert np.array_equal(again.phone, found.phone) and np.array_equal(again.cepstra, found.cepstra)
    rng = np.random.default_rng(0)
    heard = [more.change["unlabelled"](again.cepstra, rng) for _ in range(20)]
    assert 0.3 < np.mean([not np.allclose(h, again.cepstra, atol=0.2) for h in heard]) < 1.0

    # The voice path learns on alone; frames stay bit for bit what they were.
    monkeypatch.setattr(encoder_training, "VOICE_STEPS", 3)
    encoder_training.train_voice(recipe, caches, 3, tmp_path / "run", tmp_path / "voice", cpu=True)
    later, _ = load_encoder(tmp_path / "voice" / "checkpoint")
    same = {n: torch.equal(p, later.state_dict()[n]) for n, p in model.state_dict().items()}
    assert all(value for name, value in same.items() if not name.startswith("voice."))
    assert not same["voice.embed.weight"]

    # One round more keeps voices and heads bit for bit, and its features the nearer to what they were the more it is held.
    monkeypatch.setattr(encoder_training, "training_batches", lambda *_: (caches, ["a", "b", "c"], set()))
    moved = {}
    for hold in (0.0, 100.0):
        further = recipe.replace(steps=20, loss_weights={"hold": hold}, best_by=())
        start, out = tmp_path / "run" / "checkpoint", tmp_path / f"held-{hold:g}"
        encoder_training.train_further(further, tmp_path, tmp_path, out, start, None, cpu=True)
        later, same_heads = load_encoder(out / "checkpoint")
        assert all(torch.equal(p, same_heads.state_dict()[n]) for n, p in heads.state_dict().items())
        assert torch.equal(later.voice.embed.weight, model.voice.embed.weight)
        heard = torch.from_numpy(cepstra.astype(np.float32))[None]
        with torch.inference_mode():
            moved[hold] = float((later(heard).last_hidden_state - model(heard).last_hidden_state).square().mean())
    assert 0 < moved[100.0] < 0.5 * moved[0.0]
    assert json.loads((out / "checkpoint" / "config.json").read_text())["further_steps"] == 20

    (tmp_path / "run" / "checkpoint" / "heads.safetensors").unlink()
    with pytest.raises(TalkerError, match="heads"):
        load_encoder(tmp_path / "run" / "checkpoint")


def test_renderings_are_kept_until_their_sources_change(tmp_path, monkeypatch):
    utterance = toy_utterance(0)
    wav = tmp_path / "corpus" / "ls-1" / "ls-1-2-3-p1.wav"
    write_wav(utterance.samples, wav)
    write_text_grid(wav.with_suffix(".TextGrid"), 4.0, phone_tiers(utterance.phones))
    write_wav(utterance.samples, tmp_path / "corpus" / "language-es" / "language-es-00-p1.wav")  # its phones are no labels
    write_text_grid(tmp_path / "corpus" / "language-es" / "language-es-00-p1.TextGrid", 4.0, phone_tiers(utterance.phones))
    entries = {
        "ls-1-2-3-p1": {"speaker": "ls-1", "base": "ls-1-2-3", "split": "train"},
        "language-es-00-p1": {"speaker": "language-es", "base": "language-es-00", "split": "train"},
    }
    speakers = {"ls-1": {"engine": "recording"}, "language-es": {"engine": "language"}}
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps({"utterances": entries, "speakers": speakers}))
    (found,) = encoder_data.recordings(tmp_path / "corpus", ("train",))
    jobs = encoder_data.corpus_jobs([found], ["ls-1"], 2)
    assert jobs[0].variants == (0, 1, 2)
    # One process is enough here: what the pool does is called directly.
    calls = []
    monkeypatch.setattr(
        encoder_data, "render", lambda jobs, *_: calls.append(1) or [e for job in jobs for e in encoder_data._render(job, 0)]
    )
    first = encoder_data.rendered(tmp_path / "real.safetensors", [wav], jobs, [], 0)
    again = encoder_data.rendered(tmp_path / "real.safetensors", [wav], jobs, [], 0)
    assert len(calls) == 1 and len(first) == len(again) == 3
    for one, other in zip(first, again):
        assert np.array_equal(one.cepstra, other.cepstra) and np.array_equal(one.phone, other.phone)
        assert one.speaker == other.speaker and (one.mel is None) == (other.mel is None)
    assert [e.speaker for e in again] == [0, 0, None]  # the third is sped up or slowed down
    write_wav(utterance.samples[:-SAMPLE_RATE], wav)
    encoder_data.rendered(tmp_path / "real.safetensors", [wav], jobs, [], 0)
    assert len(calls) == 2


def test_languages_are_spoken_once(tmp_path, monkeypatch):
    calls = []

    def utterance(language, number, seed, made_up):
        calls.append((language, number, seed, made_up))
        return toy_utterance(number).samples, [Phone("ɔ̃", 0.0, 1.0), Phone("SIL", 1.0, 1.5), Phone("ʷ".join("kk"), 1.5, 4.0)]

    monkeypatch.setattr(encoder_data, "languages", SimpleNamespace(LANGUAGES={"fr": "French"}, utterance=utterance))
    files = encoder_data.generate_languages(tmp_path, 0.1, 7)
    assert calls == [("fr", 0, 7, False), ("fr", 1, 7, True)] and len(files["fr"]) == 2  # 2 × 4 s
    assert encoder_data.generate_languages(tmp_path, 0.1, 7) == files and len(calls) == 2
    heard = encoder_data.load_language(files["fr"][0])
    assert [p.label for p in heard.phones] == ["ɔ̃", "SIL", "kʷk"] and not heard.english
