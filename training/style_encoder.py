"""Training of the speaking style encoder (DiffPoseTalk, section 3.3.1), by contrast.

    python -m training style-encoder --corpus data/corpus --out runs/style-encoder

The two halves of a few seconds of motion are of one style; those of other speakers are of others.

Contrast stops learning once it tells speakers apart, for which what is held the same all the time is enough: a crooked
mouth, a tilted head. Then styles say nothing of how lively brows and head are, and a model that is given them cannot
follow. So in a share of the steps (`partial_share` of the recipe; 0 as published) second halves show a part of the face
or the head alone, or movement without what is held, and have to be found by that.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talker.atomic import whole_file
from talker.checkpoints import save_checkpoint
from talker.errors import TalkerError
from talker.models.motion_model import COEFFICIENT_STD_FLOOR, HEAD_STD_FLOOR
from talker.motion import HEAD_NAMES, sway
from talker.style import StyleConfig, StyleEncoder, mean_over_time
from training.bars import Bar, bar_table
from training.beat import read_corpus
from training.cards import CARD
from training.dataset import FeatureCache, motion_channels
from training.recipe import Recipe
from training.trainer import CHECKPOINT_FOLDER, VALIDATION_SEED, Trainer, add_run_arguments, prepare

TEMPERATURE = 0.1
"""τ of eq. 9 (section 4.2)."""

PARTS = {"mouth": ("jaw", "mouth"), "brows": ("brow",), "eyes": ("eye",), "head": HEAD_NAMES}
"""What a second half can be found by alone: beginnings of the channels' names. FLAME's expressions have no parts."""

ACCURACY_BAR, AUC_BAR = 0.90, 0.95
"""What an encoder must reach on motion that it has not seen: nearest neighbours, and same or different speaker."""


def nt_xent(one: Tensor, other: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Eq. 9 over all positive pairs, both ways (Chen et al. 2020): styles (N, D) of the first and the second halves."""
    styles = F.normalize(torch.cat([one, other]), dim=-1)
    count = len(one)
    own = torch.eye(2 * count, dtype=torch.bool, device=styles.device)
    similarities = (styles @ styles.T / temperature).masked_fill(own, -torch.inf)
    partner = torch.arange(2 * count, device=styles.device).roll(count)
    return F.cross_entropy(similarities, partner)


class StyleObjective(nn.Module):
    """NT-Xent of one batch: {"motion" (2N, T, C), first halves and then second ones, "valid" (2N, T) bool}."""

    def __init__(self, model: StyleEncoder):
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        styles = self.model(batch["motion"], batch["valid"])
        with torch.autocast(styles.device.type, enabled=False):
            return {"total": nt_xent(*styles.float().chunk(2))}


def draw_halves(cache: FeatureCache, step: int, seed: int, size: int, frames: int, channels: int) -> dict[str, Tensor]:
    """The batch of a training step, a pure function of (seed, step): `size` stretches of motion of as many speakers.

    Speakers are drawn alike, so that no negative example is the positive's speaker; each shows 2·`frames` frames of an
    utterance, or what there is of it, padded behind.
    """
    rng = np.random.default_rng([seed, step])
    speakers = sorted(set(cache.speakers))
    names = np.array(cache.speakers)
    motion = torch.zeros(2 * size, frames, channels)
    valid = torch.zeros(2 * size, frames, dtype=torch.bool)
    for row, speaker in enumerate(rng.choice(len(speakers), size, replace=len(speakers) < size)):
        utterance = rng.choice(np.flatnonzero(names == speakers[speaker]))
        half = min(frames, int(cache.lengths[utterance]) // 2)
        start = cache.motion_start[utterance] + rng.integers(0, cache.lengths[utterance] - 2 * half + 1)
        for k, at in ((row, start), (size + row, start + half)):
            motion[k, :half] = cache.motion[at : at + half, :channels]
            valid[k, :half] = True
    return {"motion": motion, "valid": valid}


def partly_shown(motion: Tensor, valid: Tensor, shown: list[int], mean: Tensor, moving: bool) -> Tensor:
    """Motion (N, T, C) of which only some channels are seen, the others at their mean (C,) over the training motion;
    with `moving`, these too without what is held: about that mean, not their own over the frames that are valid (N, T)."""
    part = motion[..., shown]
    if moving:
        part = part - mean_over_time(part, valid) + mean[shown]
    hidden = mean.expand_as(motion).clone()
    hidden[..., shown] = part
    return hidden * valid[..., None]


class StyleTrainer(Trainer):
    """A Trainer of the style encoder on the motion of feature caches."""

    def prepare_data(self) -> int:
        if self.recipe.batch_size % self.accelerator.num_processes:
            raise TalkerError("The batch cannot be shared by that many processes; make batch_size a multiple of them.")
        return self.recipe.total_steps(len(self.caches["train"].motion))

    def batch(self, step: int, split: str = "train") -> dict[str, Tensor]:
        seed = self.recipe.seed if split == "train" else VALIDATION_SEED
        # Processes have negatives of their own, as in SimCLR without a gathered batch.
        share = self.recipe.batch_size // self.accelerator.num_processes
        seeds = [seed, self.accelerator.process_index] if self.accelerator.num_processes > 1 else seed
        config = self.model.config
        batch = draw_halves(self.caches[split], step, seeds, share, config.frames, len(config.channels))
        # All halves of a step alike, or what is shown would tell them apart; and alike in all processes.
        rng = np.random.default_rng([seed, step, 1])
        if rng.random() < self.recipe.partial_share:
            parts = [[k for k, name in enumerate(config.channels) if name.startswith(p)] for p in PARTS.values()]
            parts = [part for part in [*parts, list(range(len(config.channels)))] if part]
            shown, moving = parts[rng.integers(len(parts))], rng.random() < 0.5
            mean = self.model.motion_mean.to(batch["motion"])
            batch["motion"][share:] = partly_shown(batch["motion"][share:], batch["valid"][share:], shown, mean, moving)
        return {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}

    def config(self) -> dict:
        return {
            "summary": "Speaking style encoder of DiffPoseTalk: a style by the example of any motion.",
            **self.model.config.to_dict(),
            "data": self.recipe.data,
            "batch_size": self.recipe.batch_size,
            "partial_share": self.recipe.partial_share,
            "trained_steps": self.step,
            "best_step": self.best["step"] if self.best else self.step,
            "training_seconds": round(self.seconds, 1),
        }


def build_style_encoder(recipe: Recipe, train: FeatureCache) -> StyleEncoder:
    """A fresh encoder with the training motion's statistics."""
    torch.manual_seed(recipe.seed)
    channels = motion_channels(recipe, train)
    model = StyleEncoder(
        StyleConfig(
            channels, recipe.hidden_dim, recipe.layers, recipe.heads, recipe.window_frames, recipe.fps, recipe.dropout,
            recipe.movement,
        )
    )
    mean, std = (torch.from_numpy(np.asarray(part)).float()[: len(channels)] for part in train.motion_statistics())
    floor = torch.tensor([HEAD_STD_FLOOR if name in HEAD_NAMES else COEFFICIENT_STD_FLOOR for name in channels])
    model.motion_mean.copy_(mean)
    model.motion_std.copy_(std.maximum(floor))
    return model


def utterance_styles(model: StyleEncoder, cache: FeatureCache, most: int = 20) -> tuple[Tensor, list[str]]:
    """Styles (n, 128) and speakers of a split's utterances, at most so many of each speaker."""
    channels, taken, styles, speakers = len(model.config.channels), {}, [], []
    for index, speaker in enumerate(cache.speakers):
        taken[speaker] = taken.get(speaker, 0) + 1
        if taken[speaker] <= most:
            motion = cache.motion[cache.motion_start[index] :][: cache.lengths[index], :channels]
            styles.append(model.encode_channels(motion.numpy()))
            speakers.append(speaker)
    return torch.stack(styles), speakers


def intraclass_correlation(groups: Sequence[np.ndarray]) -> float:
    """How much of a value is its group's: ICC(1) of an analysis of variance with one factor (Shrout and Fleiss 1979), for
    groups of any sizes (n,), and so the slope by which one value of a group foretells another. 1 where there are no two
    values in any group or no two groups."""
    sizes = np.array([len(group) for group in groups])
    total, count = int(sizes.sum()), len(groups)
    if count < 2 or total == count:
        return 1.0
    means = np.array([np.mean(group) for group in groups])
    between = float((sizes * (means - np.concatenate(groups).mean()) ** 2).sum()) / (count - 1)
    within = sum(float(((group - mean) ** 2).sum()) for group, mean in zip(groups, means)) / (total - count)
    size = (total - float((sizes**2).sum()) / total) / (count - 1)
    return (between - within) / max(between + (size - 1) * within, 1e-12)


def nearest_neighbour_accuracy(shown: Tensor, names: list[str], styles: Tensor, speakers: list[str]) -> float:
    """Share of styles (n, D) whose nearest of those shown (m, D), by cosine, is of their own speaker."""
    nearest = (styles @ shown.T).argmax(dim=1).tolist()
    return float(np.mean([names[index] == speaker for index, speaker in zip(nearest, speakers, strict=True)]))


def same_speaker_auc(styles: Tensor, speakers: list[str]) -> float:
    """Area under the ROC curve of telling pairs of one speaker from pairs of two by the cosine of their styles (n, D)."""
    names = np.array(speakers)
    rows, columns = np.triu_indices(len(names), 1)
    similarities = (styles @ styles.T).numpy()[rows, columns]
    same = names[rows] == names[columns]
    if same.all() or not same.any():
        raise TalkerError("Telling speakers apart needs pairs of one speaker and of two; give a corpus of several speakers.")
    positive, negative = np.sort(similarities[same]), np.sort(similarities[~same])
    # Mann and Whitney's U: how often a pair of one speaker is the more alike, ties counting half.
    wins = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(wins.sum() / 2 / len(positive) / len(negative))


def measure_styles(model: StyleEncoder, train: FeatureCache, corpus: str | Path) -> list[Bar]:
    """The encoder's bars on a corpus's held-out motion: the speaker of unseen utterances by their nearest neighbour
    among training utterances, and same or different among windows of speakers who never trained, where there are two."""
    model.eval()
    fps, length = model.config.fps, model.config.frames
    shown, names = utterance_styles(model, train)
    unseen = [u for u in read_corpus(corpus, ["heldout_utterance"]) if u.speaker in set(names)]
    styles = torch.stack([model.encode(u.motion(fps)) for u in unseen])
    accuracy = nearest_neighbour_accuracy(shown, names, styles, [u.speaker for u in unseen])
    windows, speakers = [], []
    for utterance in read_corpus(corpus, ["heldout_speaker"]):
        motion = utterance.motion(fps)
        channels = np.concatenate([motion.coefficients, motion.head], axis=1)[:, : len(model.config.channels)]
        for start in range(0, len(channels) - length + 1, length):
            windows.append(model.encode_channels(channels[start : start + length]))
            speakers.append(utterance.speaker)
    bars = [Bar(f"Nearest neighbour's speaker, {len(unseen)} unseen utterances", accuracy, ">=", ACCURACY_BAR)]
    if len(set(speakers)) > 1:
        auc = same_speaker_auc(torch.stack(windows), speakers)
        people = f"{len(windows)} windows of {len(set(speakers))} unseen speakers"
        bars.append(Bar(f"Same or different speaker (AUC), {people}", auc, ">=", AUC_BAR))
    return bars


@dataclass(frozen=True)
class NamedStyle:
    """A style that ships: of the training speaker with the most, or the least, of something in their motion.

    channels : beginnings of the channels' names that count
    moving   : whether it is their standard deviation in time, else their mean
    most     : the most of it, else the least
    line     : what people read
    """

    channels: tuple[str, ...]
    moving: bool
    most: bool
    line: str


NAMED_STYLES = {
    "wide-mouthed": NamedStyle(("jawOpen",), False, True, "opens the mouth the widest"),
    "tight-mouthed": NamedStyle(("jawOpen",), False, False, "hardly opens the mouth"),
    "smiling": NamedStyle(("mouthSmile",), False, True, "smiles the most while speaking"),
    "round-lipped": NamedStyle(("mouthPucker", "mouthFunnel"), False, True, "rounds the lips the most"),
    "lively brows": NamedStyle(("brow",), True, True, "moves the brows the most"),
    "lively head": NamedStyle(HEAD_NAMES, True, True, "moves the head the most"),
    "still head": NamedStyle(HEAD_NAMES, True, False, "holds the head the stillest"),
}
"""Seven of the eight; the other is the speaker whose style is the most like everybody's."""


def name_styles(model: StyleEncoder, cache: FeatureCache) -> StyleEncoder:
    """The encoder with eight named styles of training speakers, and how far their heads sway. Each is the mean direction
    of the speaker's utterances; a speaker who has one name is passed over for the next."""
    shown, names = utterance_styles(model, cache)
    speakers, rows = sorted(set(names)), np.array(names)
    styles = torch.stack([F.normalize(shown[torch.from_numpy(rows == one)].mean(dim=0), dim=-1) for one in speakers])
    own, channels = np.array(cache.speakers), model.config.channels
    motion = [cache.motion[a : a + n, : len(channels)].numpy() for a, n in zip(cache.motion_start, cache.lengths)]
    of_speaker = {one: np.flatnonzero(own == one) for one in speakers}
    chosen = {"neutral": int((styles @ styles.mean(dim=0)).argmax())}
    lines = {"neutral": "speaks the most like everybody"}
    for name, rule in NAMED_STYLES.items():
        columns = [k for k, channel in enumerate(channels) if channel.startswith(rule.channels)]
        amount = {True: np.std, False: np.mean}[rule.moving]
        values = np.array(
            [np.mean([amount(motion[u][:, columns], axis=0).sum() for u in of_speaker[one]]) for one in speakers]
        )
        order = np.argsort(-values if rule.most else values, kind="stable").tolist()
        free = [k for k in order if k not in chosen.values()]
        if columns and free:  # a model without head, or fewer than eight speakers
            chosen[name], lines[name] = free[0], rule.line
    config = dataclasses.replace(model.config, styles={n: f"{lines[n]} ({speakers[k]})" for n, k in chosen.items()})
    heads = [k for k, channel in enumerate(channels) if channel in HEAD_NAMES]
    if heads:
        of_utterances = [np.array([sway(motion[u][:, heads]) for u in of_speaker[one]]) for one in speakers]
        sways = [float(values.mean()) for values in of_utterances]
        config = dataclasses.replace(
            config, sways={n: sways[k] for n, k in chosen.items()}, typical_sway=float(np.mean(sways)),
            sway_foretold=max(0.0, intraclass_correlation([np.log(np.maximum(values, 1e-4)) for values in of_utterances])),
        )  # fmt: skip
    named = StyleEncoder(config)
    named.load_state_dict(model.state_dict() | {"vectors": styles[list(chosen.values())]})
    return named.eval()


_CARD = """# Speaking style encoder

{parameters:.1f} M parameters: a transformer encoder of {layers} layers and {heads} heads over {channels} channels of motion, averaged over time: the speaking style encoder of DiffPoseTalk (Sun et al. 2024). It gives one direction in {dim} dimensions for any motion of at least a second. Loads with `talker.style.StyleEncoder.from_pretrained`.

**Use.** The style that DiffPoseTalk is given: of a motion file, or one of the named styles below. It does not tell who somebody is.

**Data.** Motion of the {data}, {trained_steps} steps, in each of which the halves of a few seconds of {batch} speakers were to find each other (NT-Xent, τ = {temperature}), in a share of {partial_share:g} of them with only a part of the second half shown, so that brows, lids, head and movement count too. The motion is an articulation model's, not captured; styles are what its speakers were drawn with: how far mouths open, smiles, brows, blinks, how heads sway.

**Measured** by `python -m training style-encoder`, on motion that was held out:

| bar | value | limit | |
| --- | --- | --- | --- |
{bars}

**Named styles.** Of each, the mean direction of one training speaker's utterances{swaying}:

{styles}

**Limits.** Styles of captured faces were not seen. Motion of another topology or with shapes missing is refused.
"""


def style_card(model: StyleEncoder, config: dict) -> str:
    """The text of a checkpoint's MODEL_CARD.md, from what its config.json holds."""
    bars = (Bar(*(bar[key] for key in ("measure", "value", "sense", "limit"))).row() for bar in config["bars"])
    sways = config["sways"]
    return _CARD.format(
        **{name: config[name] for name in ("layers", "heads", "dim", "data", "trained_steps", "partial_share")},
        parameters=sum(p.numel() for p in model.parameters()) / 1e6, channels=len(config["channels"]),
        batch=config["batch_size"], temperature=TEMPERATURE, bars="\n".join(f"| {' | '.join(row)} |" for row in bars),
        swaying=", and how far the head sways, by which heads are scaled (typically {:.2f} rad)".format(config["typical_sway"]) if sways else "",
        styles="\n".join(f"- `{name}`: {line}" + (f"; head {sways[name]:.2f} rad" if name in sways else "") for name, line in config["styles"].items()),
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training style-encoder`."""
    add_run_arguments(parser, "style-encoder")


def run(args: argparse.Namespace) -> None:
    """Train the style encoder, name eight styles and, where a corpus is given, measure it on what was held out."""
    recipe, accelerator, caches = prepare(args)
    trainer = StyleTrainer(recipe, StyleObjective(build_style_encoder(recipe, caches["train"])), caches, args.out, accelerator)
    model = trainer.fit().cpu()
    if accelerator.is_main_process:
        model = name_styles(model, caches["train"])
        bars = measure_styles(model, caches["train"], args.corpus) if args.corpus else []
        config = trainer.config() | model.config.to_dict() | {"bars": [bar.entry() for bar in bars]}
        folder = save_checkpoint(Path(args.out) / CHECKPOINT_FOLDER, model, config, recipe.text())
        if bars:
            with whole_file(folder / CARD) as path:
                path.write_text(style_card(model, config), encoding="utf-8")
        print("\n".join(f"{name}: {line}" for name, line in model.named_styles().items()))
        if bars:
            print(bar_table("On motion that was held out", config["bars"]))
        print(f"The style encoder is in {folder}.")
    accelerator.end_training()
