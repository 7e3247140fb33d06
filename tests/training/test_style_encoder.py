"""The style encoder's training: its loss by hand, its batches, its measures, its named styles."""

import json
import math

import numpy as np
import pytest
import torch

from talker.style import StyleConfig, StyleEncoder
from tests.training.toy_corpus import write_toy_corpus
from training.__main__ import main
from training.dataset import CachedUtterance, FeatureCache, write_feature_cache
from training.recipe import Recipe
from training.style_encoder import (
    NAMED_STYLES, StyleObjective, StyleTrainer, build_style_encoder, draw_halves, intraclass_correlation, name_styles,
    nearest_neighbour_accuracy, nt_xent, partly_shown, same_speaker_auc, utterance_styles,
)  # fmt: skip
from training.trainer import make_accelerator

RECIPE = Recipe(
    name="tiny", hidden_dim=16, layers=1, heads=2, window_frames=30, steps=60, batch_size=8, crop_frames=(60, 60),
    learning_rate=3e-3, learning_rate_end=3e-3, validate_every=60, validation_batches=2,
)  # fmt: skip


def styled_utterances(seed, count, speakers=8):
    """Every speaker holds and moves the face in their own way; what they say is drawn afresh."""
    own = np.random.default_rng(0)
    rest, gain = own.uniform(0.1, 0.5, (speakers, 55)), own.uniform(0.02, 0.1, (speakers, 55))
    rng = np.random.default_rng(seed)
    for index in range(count):
        speaker, length = index % speakers, int(rng.integers(50, 120))
        phase = np.arange(length)[:, None] / 30 * rng.uniform(1, 3, 55) + rng.random(55)
        motion = rest[speaker] + gain[speaker] * np.sin(2 * np.pi * phase)
        yield CachedUtterance(f"u{index}", f"speaker-{speaker}", motion, [np.zeros((length, 2))], [np.zeros(3)])


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    for split, seed, count in (("train", 1, 48), ("validation", 2, 16)):
        write_feature_cache(folder / f"{split}.safetensors", styled_utterances(seed, count))
    return {split: FeatureCache.load(folder / f"{split}.safetensors") for split in ("train", "validation")}


def test_nt_xent_by_hand():
    """Two pairs in two dimensions: equal halves, pairs at a right angle, and the formula of eq. 9 written out."""
    one = other = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert float(nt_xent(one, other, 0.5)) == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 2)), abs=1e-6)
    torch.manual_seed(0)
    one, other = torch.randn(3, 4), torch.randn(3, 4)
    styles, terms = [*one, *other], []
    for i in range(6):
        alike = [math.exp(float(torch.cosine_similarity(styles[i], styles[k], dim=0)) / 0.1) for k in range(6)]
        terms.append(-math.log(alike[(i + 3) % 6] / (sum(alike) - alike[i])))
    assert float(nt_xent(one, other)) == pytest.approx(np.mean(terms), rel=1e-4)


def test_halves_follow_each_other_and_are_of_different_speakers(caches):
    cache = caches["train"]
    batch = draw_halves(cache, 3, 0, 8, 30, 55)
    assert batch["motion"].shape == (16, 30, 55)
    for row in range(8):
        length = int(batch["valid"][row].sum())
        assert length >= 25 and torch.equal(batch["valid"][row], batch["valid"][8 + row])
        halves = torch.cat([batch["motion"][row, :length], batch["motion"][8 + row, :length]])
        starts = (cache.motion == halves[0]).all(dim=1).nonzero().flatten()
        assert len(starts) == 1 and torch.equal(cache.motion[starts[0] : starts[0] + 2 * length], halves)
    again, later = draw_halves(cache, 3, 0, 8, 30, 55), draw_halves(cache, 4, 0, 8, 30, 55)
    assert torch.equal(again["motion"], batch["motion"]) and not torch.equal(later["motion"], batch["motion"])


def test_a_part_is_shown_as_it_is_or_without_what_is_held():
    """Three channels of two frames and one of padding: the middle one is shown, the others stay at their mean."""
    motion = torch.tensor([[[1.0, 10.0, 5.0], [3.0, 20.0, 5.0], [0.0, 0.0, 0.0]]])
    valid, mean = torch.tensor([[True, True, False]]), torch.tensor([2.0, 12.0, 4.0])
    seen = partly_shown(motion, valid, [1], mean, moving=False)
    assert seen.tolist() == [[[2.0, 10.0, 4.0], [2.0, 20.0, 4.0], [0.0, 0.0, 0.0]]]
    moving = partly_shown(motion, valid, [0, 1], mean, moving=True)
    assert moving.tolist() == [[[1.0, 7.0, 4.0], [3.0, 17.0, 4.0], [0.0, 0.0, 0.0]]]


@pytest.mark.parametrize("share, hidden", [(0.0, 0), (1.0, 8)])
def test_second_halves_show_a_part_in_a_share_of_the_steps(caches, tmp_path, share, hidden):
    recipe = RECIPE.replace(partial_share=share)
    model = build_style_encoder(recipe, caches["train"])
    trainer = StyleTrainer(recipe, StyleObjective(model), caches, tmp_path, make_accelerator(recipe, cpu=True), progress=False)
    whole = draw_halves(caches["train"], 5, recipe.seed, 8, 30, 55)["motion"]
    shown = trainer.batch(5)["motion"]
    assert torch.equal(shown[:8], whole[:8])
    assert (shown != whole).flatten(1).any(dim=1).sum() == hidden


def test_measures_by_hand():
    shown, names = torch.eye(3), ["ann", "ben", "cat"]
    styles = torch.tensor([[1.0, 0.2, 0], [0, 0.3, 1], [0.9, 0, 0]])
    assert nearest_neighbour_accuracy(shown, names, styles, ["ann", "ben", "ann"]) == pytest.approx(2 / 3)
    # Pairs: aa 1.0; bb 0.6; ab, of which one is as alike as bb and three are less: U = 4 + 3.5 of 8.
    a, b, c = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]), torch.tensor([0.6, 0.6, math.sqrt(1 - 0.72)])
    pairs = torch.stack([a, a, b, c])
    similar = (pairs @ pairs.T).numpy()
    assert similar[2, 3] == pytest.approx(0.6) and similar[0, 3] == pytest.approx(0.6)
    wins = [float(np.mean([0.5 * (s == d) + (s > d) for d in (similar[0, 2], similar[0, 3], similar[1, 2], similar[1, 3])]))
            for s in (similar[0, 1], similar[2, 3])]  # fmt: skip
    assert same_speaker_auc(pairs, ["a", "a", "b", "b"]) == pytest.approx(np.mean(wins))


def test_how_much_of_a_value_is_its_groups_by_hand():
    # Mean squares 16 between the means 2 and 6, 2 within: (16 - 2) / (16 + 2).
    assert intraclass_correlation([np.array([1.0, 3]), np.array([5.0, 7])]) == pytest.approx(14 / 18)
    assert intraclass_correlation([np.array([1.0, 1]), np.array([5.0, 5, 5])]) == pytest.approx(1)
    assert intraclass_correlation([np.array([1.0, 5]), np.array([1.0, 5])]) < 0  # the group says nothing
    assert intraclass_correlation([np.array([1.0]), np.array([2.0])]) == 1  # nothing to tell it from


def test_it_learns_to_tell_speakers_apart_and_names_styles(caches, tmp_path):
    model = build_style_encoder(RECIPE, caches["train"])
    trainer = StyleTrainer(RECIPE, StyleObjective(model), caches, tmp_path, make_accelerator(RECIPE, cpu=True), progress=False)
    model = trainer.fit()
    (shown, names), (styles, speakers) = (utterance_styles(model, caches[split]) for split in ("train", "validation"))
    assert nearest_neighbour_accuracy(shown, names, styles, speakers) > 0.9
    assert same_speaker_auc(styles, speakers) > 0.95
    losses = [json.loads(line).get("total") for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean([x for x in losses if x][-10:]) < 0.5 * losses[0]

    named = name_styles(model, caches["train"])
    assert list(named.named_styles()) == ["neutral", *NAMED_STYLES] and len(NAMED_STYLES) == 7
    rest = {}
    for index, speaker in enumerate(caches["train"].speakers):
        start, stop = caches["train"].motion_start[index : index + 2]
        rest.setdefault(speaker, []).append(float(caches["train"].motion[start:stop, 24].mean()))
    widest = max(rest, key=lambda one: np.mean(rest[one]))
    assert named.named_styles()["wide-mouthed"] == f"opens the mouth the widest ({widest})"
    own = torch.stack([style for style, name in zip(shown, names) if name == widest])
    assert float(own.mean(dim=0) @ named.style("wide-mouthed")) > 0.9
    assert len({line.split("(")[1] for line in named.named_styles().values()}) == 8


def test_the_command_trains_measures_and_ships(encoder, tmp_path, capsys):
    """On a corpus of one unseen speaker, whom nobody is to be told from, and of fewer speakers than names."""
    corpus = write_toy_corpus(tmp_path / "corpus", speakers=3, seconds=2.5)
    words = ["style-encoder", "--corpus", str(corpus), "--features", str(tmp_path / "features"), "--encoder", encoder, "--cpu",
             "--out", str(tmp_path / "run"), "--steps", "2", "--set", "window_frames=20", "--set", "layers=1", "--set", "variants=0",
             "--batch-size", "3"]  # fmt: skip
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Nearest neighbour's speaker, 6 unseen utterances" in printed and "neutral" in printed
    loaded = StyleEncoder.from_pretrained(tmp_path / "run" / "checkpoint")
    bars = json.loads((tmp_path / "run" / "checkpoint" / "config.json").read_text())["bars"]
    card = (tmp_path / "run" / "checkpoint" / "MODEL_CARD.md").read_text()
    assert "| Nearest neighbour's speaker, 6 unseen utterances |" in card and "- `neutral`: speaks the most like everybody" in card
    assert len(bars) == 1 and 0 <= bars[0]["value"] <= 1
    assert loaded.config.frames == 20 and len(loaded.vectors) == len(loaded.named_styles()) == 3


def test_the_papers_sizes_are_the_defaults():
    config = StyleConfig()
    assert (config.layers, config.heads, config.dim, config.frames) == (4, 4, 128, 100)
