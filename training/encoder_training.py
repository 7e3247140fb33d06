"""Training of the compact speech encoder: python -m training speech-encoder.

Three rounds. The first learns from the corpus's phones and speakers and from espeak-ng's languages. Where
MFCCs of unlabelled speech are given, its encoder labels them, and the second round learns afresh from all
(noisy-student training, Xie et al. 2020): unlabelled voices are many, and nobody can learn them by heart.
The third labels them again by what the second learned, and goes on from it.
At last the voice path alone learns its speakers in noise; the frame path stays as it is.

--start goes on from an encoder that denoisers already listen to. Its features are held near what they were, and
what reads phones and articulation from them stays as it is, so that the denoisers need not be trained again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from talker.atomic import whole_file
from talker.checkpoints import load_checkpoint, load_config, load_tensors, save_checkpoint
from talker.encoders import CompactSpeechConfig, CompactSpeechModel
from talker.errors import TalkerError
from training import encoder_data as data
from training.cepstral_noise import CepstralNoise, VoiceNoise, statistics
from training.losses import loss_weights
from training.recipe import Recipe, load_recipe, parse_settings
from training.speech_encoder import EncoderBatches, EncoderExample, FrameHeads, SpeakerHead, encoder_loss, frame_loss
from training.trainer import CHECKPOINT_FOLDER, STATE_FILE, VALIDATION_SEED, Trainer, make_accelerator

CROP = 200
"""Features (of 20 ms) in a crop."""

HEADS_FILE = "heads.safetensors"
"""Weights of FrameHeads, beside the encoder that was trained with them."""

VOICE_STEPS = 600
"""Steps of the voice path alone, after the rounds: its network is small, and a step takes a tenth of the others'."""

SYNTHETIC_UTTERANCES = 40
"""Training utterances of each synthetic voice that are rendered. At their share of the batches more are not heard."""

SHARES = {"real": 0.5, "synthetic": 0.25, "languages": 0.5, "unlabelled": 0.7}
"""Weights of the kinds of speech in a batch. Strangers are real, and real recordings with labels are few."""


LIPS = {"closure": 1.0, "teeth": 1.0}
"""Weights of frame_loss that a recipe's loss_weights may name, as they are without it."""


class EncoderObjective(nn.Module):
    """Loss of one batch; `model` holds the encoder and the heads it is taught through, weights are frame_loss's."""

    def __init__(self, speakers: int, config: CompactSpeechConfig | None = None, **weights: float):
        super().__init__()
        self.weights = weights
        config = config or CompactSpeechConfig(suppress_noise=True)
        self.model = nn.ModuleDict(
            {
                "encoder": CompactSpeechModel(config),
                "heads": FrameHeads(config.feature_size),
                "speakers": SpeakerHead(config.voice_size, speakers),
            }
        )

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return encoder_loss(self.model["encoder"], self.model["heads"], self.model["speakers"], batch, **self.weights)


class VoiceObjective(EncoderObjective):
    """Loss of the voice path alone; nothing else is trained."""

    def __init__(self, speakers: int, config: CompactSpeechConfig | None = None):
        super().__init__(speakers, config)
        self.model.requires_grad_(False)
        self.model["encoder"].voice.requires_grad_(True)
        self.model["speakers"].requires_grad_(True)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"total": self.model["speakers"](self.model["encoder"].voice(batch["mel"]), batch["speaker"])}


class FurtherObjective(EncoderObjective):
    """Loss of the frame path of an encoder that denoisers know: phones and articulation through the heads it was taught
    by, which stay as they are, and the mean squared distance of its features from what they were."""

    def __init__(self, encoder: CompactSpeechModel, heads: FrameHeads, speakers: int, hold: float, **weights: float):
        super().__init__(speakers, encoder.config, **weights)
        self.model["encoder"].load_state_dict(encoder.state_dict())
        self.model["heads"].load_state_dict(heads.state_dict())
        self.model.requires_grad_(False)
        self.model["encoder"].requires_grad_(True)
        self.model["encoder"].voice.requires_grad_(False)
        self.before, self.hold = encoder.requires_grad_(False), hold

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of a batch, "held" the distance."""
        self.before.eval()
        features = self.model["encoder"](batch["cepstra"]).last_hidden_state
        losses = frame_loss(*self.model["heads"](features), batch, **self.weights)
        inside = batch["inside"]
        held = (features - self.before(batch["cepstra"]).last_hidden_state)[inside].square().mean()
        return {**losses, "total": losses["total"] + self.hold * held, "held": held.detach()}


class EncoderTrainer(Trainer):
    """The project's trainer, on crops of speech. Every process draws its own rows of the batch."""

    def prepare_data(self) -> int:
        """Steps that the recipe asks for."""
        if not self.recipe.steps:
            raise TalkerError("The speech encoder is trained for a number of steps; set steps in the recipe.")
        return self.recipe.steps

    def batch(self, step: int, split: str = "train") -> dict[str, Tensor]:
        """This process's share of a step's batch, on its device."""
        batches: EncoderBatches = self.caches[split]
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        seed = (self.recipe.seed if split == "train" else VALIDATION_SEED) * world + rank
        rows = batches.draw(step, seed, self.recipe.batch_size // world)
        return {key: value.to(self.accelerator.device) for key, value in rows.items()}

    def config(self) -> dict:
        """What the shipped config.json holds."""
        return {
            **self.model["encoder"].config.to_dict(),
            "architectures": [CompactSpeechModel.__name__],
            "data": self.recipe.data,
            "trained_steps": self.step,
            "rendered_hours": self.caches["train"].hours(),
            "speakers": len(self.model["speakers"].speaker),
        }

    def export(self) -> Path:
        """Write the encoder as a folder that AutoModel loads, its heads for phones and articulation beside it."""
        self.swap_average()
        folder = save_checkpoint(
            self.folder / CHECKPOINT_FOLDER, self.model["encoder"], self.config(), self.recipe.text()
        )
        heads = {name: tensor.detach().cpu().clone() for name, tensor in self.model["heads"].state_dict().items()}
        with whole_file(folder / HEADS_FILE) as path:
            save_file(heads, path, metadata={"format": "pt"})
        self.swap_average()
        return folder


class VoiceTrainer(EncoderTrainer):
    """The same on voices alone, for VOICE_STEPS steps whatever the recipe's rounds have."""

    def prepare_data(self) -> int:
        """Steps of the voice path."""
        return VOICE_STEPS

    def config(self) -> dict:
        """What the shipped config.json holds."""
        return {**super().config(), "trained_steps": self.recipe.steps, "voice_steps": self.step}

    def batch(self, step: int, split: str = "train") -> dict[str, Tensor]:
        """This process's share of a step's voices, on its device."""
        batches: EncoderBatches = self.caches[split]
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        seed = (self.recipe.seed if split == "train" else VALIDATION_SEED) * world + rank
        rows = batches.draw_voices(step, seed, 4 * self.recipe.batch_size // world)
        return {key: value.to(self.accelerator.device) for key, value in rows.items()}


class FurtherTrainer(EncoderTrainer):
    """The same for an encoder that was trained already; `before` is what its config.json holds."""

    before: dict

    def config(self) -> dict:
        """What the shipped config.json holds: what it held, and what came on top."""
        steps = self.before.get("further_steps", 0) + self.step
        return {**self.before, "further_steps": steps, "further_hours": self.caches["train"].hours()}


def load_encoder(folder: str | Path) -> tuple[CompactSpeechModel, FrameHeads]:
    """The encoder of a checkpoint folder and the heads beside it. TalkerError when one is missing or broken."""
    config, tensors = load_checkpoint(folder)
    if config.get("model_type") != CompactSpeechConfig.model_type:
        raise TalkerError(f"{folder} is no compact speech encoder; give the folder of one.")
    model = CompactSpeechModel(CompactSpeechConfig(**config))
    load_tensors(model, tensors, folder)
    path = Path(folder) / HEADS_FILE
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise TalkerError(f"The speech encoder's heads {path} are missing or broken ({error}); train it again.") from None
    heads = FrameHeads(model.config.feature_size)
    load_tensors(heads, tensors, path)
    return model.eval(), heads.eval()


def training_batches(recipe: Recipe, corpus: Path, folder: Path) -> tuple[dict[str, EncoderBatches], list[str], set[str]]:
    """Batches of the training and validation splits, the training speakers' names, and the held-out ones'.

    folder : where languages (`languages`) and renderings (`encoder`) are kept
    """
    train = data.recordings(corpus, ("train",))
    speakers = sorted({u.speaker for u in train})
    check = [u for u in data.recordings(corpus, ("validation",)) if u.speaker in speakers]
    jobs = data.corpus_jobs(train, speakers, recipe.variants)
    spread = jobs[:: -(-len(jobs) // data.BABBLE_VOICES)]
    cache = folder / "encoder"
    pools: dict[str, list[EncoderExample]] = {}
    for name, real in (("real", True), ("synthetic", False)):
        chosen = [k for k, u in enumerate(train) if data.is_real(u) == real]
        if not real:
            own = [[k for k in chosen if train[k].speaker == speaker] for speaker in sorted({train[k].speaker for k in chosen})]
            chosen = [k for ks in own for k in ks[:SYNTHETIC_UTTERANCES]]
        sources = [train[k].wav for k in chosen]
        pools[name] = data.rendered(
            cache / f"{name}.safetensors", sources, [jobs[k] for k in chosen], spread, recipe.seed
        )
    if recipe.language_minutes:
        files = data.generate_languages(folder / "languages", recipe.language_minutes, recipe.seed)
        sources = [wav for wavs in files.values() for wav in wavs]
        own = data.language_jobs(files)
        pools["languages"] = data.rendered(cache / "languages.safetensors", sources, own, spread, recipe.seed)
    validation = data.rendered(
        cache / "validation.safetensors", [u.wav for u in check], data.corpus_jobs(check, speakers, 0), spread, recipe.seed
    )
    batches = {
        "train": EncoderBatches(pools, SHARES, CROP),
        "validation": EncoderBatches({"validation": validation}, frames=CROP),
    }
    return batches, speakers, {u.speaker for u in data.recordings(corpus, ("heldout_speaker",))}


def real_recordings(corpus: Path) -> list[np.ndarray]:
    """Samples (n,) of the real recordings that train."""
    return [u.speech().samples for u in data.recordings(corpus, ("train",)) if data.is_real(u)]


def with_unlabelled(
    pools: dict[str, list[EncoderExample]], encoder: CompactSpeechModel, heads: FrameHeads, unlabelled: Path, held: set[str],
    real: list[np.ndarray],
) -> EncoderBatches:
    """Batches of the pools and of unlabelled speech, which the encoder labels as it is and training hears in noise.

    held : the corpus's speakers whose speech is left out; real : recordings (real_recordings), without any there is no noise
    """
    found = data.label_cepstra(encoder, heads, unlabelled, {name.removeprefix("ls-") for name in held})
    change = {"unlabelled": CepstralNoise(statistics(real), [e.cepstra for e in found])} if real else {}
    return EncoderBatches(pools | {"unlabelled": found}, SHARES, CROP, change)


def train_encoder(
    recipe: Recipe, corpus: Path, folder: Path, out: Path, unlabelled: Path | None, cpu: bool = False
) -> dict:
    """All rounds; a finished round is not repeated. Returns what was trained on and where the encoder is."""
    batches, speakers, held = training_batches(recipe, corpus, folder)
    run = out / "round-1"
    _train_round(recipe, batches, speakers, run, cpu)
    pools = batches["train"].pools
    if unlabelled is not None:
        real = real_recordings(corpus)
        for number in (2, 3):
            labelled_by = load_encoder(run / CHECKPOINT_FOLDER)
            batches["train"] = with_unlabelled(pools, *labelled_by, unlabelled, held, real)
            start, run = run if number == 3 else None, out / f"round-{number}"
            _train_round(recipe, batches, speakers, run, cpu, start)
    run = train_voice(recipe, batches, len(speakers), run, out / "voice", cpu)
    hours = batches["train"].hours()
    return {"speakers": len(speakers), "rendered_hours": hours, "checkpoint": str(run / CHECKPOINT_FOLDER)}


def train_further(
    recipe: Recipe, corpus: Path, folder: Path, out: Path, start: Path, unlabelled: Path | None, cpu: bool = False
) -> dict:
    """One round more of the encoder in `start`, with the recipe's loss weights "hold" and those of LIPS; as train_encoder."""
    batches, speakers, held = training_batches(recipe, corpus, folder)
    encoder, heads = load_encoder(start)
    if unlabelled is not None:
        pools, real = batches["train"].pools, real_recordings(corpus)
        batches["train"] = with_unlabelled(pools, encoder, heads, unlabelled, held, real)
    torch.manual_seed(recipe.seed)
    weights = loss_weights(recipe.loss_weights, {"hold": 1.0, **LIPS})
    objective = FurtherObjective(encoder, heads, len(speakers), **weights)
    trainer = FurtherTrainer(recipe, objective, batches, out, make_accelerator(recipe, cpu))
    trainer.before = load_config(start)
    trainer.fit()
    hours = batches["train"].hours()
    return {"speakers": len(speakers), "rendered_hours": hours, "checkpoint": str(out / CHECKPOINT_FOLDER)}


def train_voice(
    recipe: Recipe, batches: dict[str, EncoderBatches], speakers: int, start: Path, folder: Path, cpu: bool = False
) -> Path:
    """Teaches a round's voice path to know its speakers in noise; frames stay as they are. Returns the run's folder."""
    encoder, _ = load_encoder(start / CHECKPOINT_FOLDER)
    objective = VoiceObjective(speakers, encoder.config)
    _go_on_from(start, objective)
    batches["train"].noise = VoiceNoise()
    accelerator = make_accelerator(recipe, cpu)
    VoiceTrainer(recipe, objective, batches, folder, accelerator).fit()
    accelerator.free_memory()
    return folder


def _go_on_from(run: Path, objective: EncoderObjective) -> None:
    """Puts what a round has learned into an objective. TalkerError when its files are missing or broken."""
    encoder, heads = load_encoder(run / CHECKPOINT_FOLDER)
    try:
        tensors = load_file(run / STATE_FILE)
    except (SafetensorError, OSError) as error:
        raise TalkerError(f"The training state {run / STATE_FILE} cannot be read ({error}); train the round again.") from None
    objective.model["speakers"].speaker.data.copy_(tensors["model.speakers.speaker"])
    objective.model["encoder"].load_state_dict(encoder.state_dict())
    objective.model["heads"].load_state_dict(heads.state_dict())


def _train_round(
    recipe: Recipe, batches: dict, speakers: list[str], folder: Path, cpu: bool, start: Path | None = None
) -> None:
    """One round, from random weights or from what the round in `start` learned."""
    torch.manual_seed(recipe.seed)
    accelerator = make_accelerator(recipe, cpu)
    objective = EncoderObjective(len(speakers), **loss_weights(recipe.loss_weights, LIPS))
    if start is not None:
        _go_on_from(start, objective)
    EncoderTrainer(recipe, objective, batches, folder, accelerator).fit()
    accelerator.free_memory()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training speech-encoder`."""
    parser.add_argument("--recipe", default="speech-encoder", help="a YAML file, or a name in training/recipes")
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"), help="made by `corpus` (data/corpus)")
    parser.add_argument("--unlabelled", type=Path, help="npz of MFCCs of further speech, for the second and third round")
    parser.add_argument("--start", type=Path, metavar="FOLDER", help="go on from this encoder, whose features denoisers "
                        "know and are held near what they were; with --recipe speech-encoder-further")  # fmt: skip
    parser.add_argument("--cache", type=Path, help="where languages and renderings are kept (beside the corpus)")
    parser.add_argument("--out", type=Path, required=True, help="run folder; training goes on from a state in it")
    parser.add_argument("--steps", type=int, help="training steps of each round instead of the recipe's")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                        help="any other field of the recipe, such as language_minutes=0; may be given several times")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def run(args: argparse.Namespace) -> None:
    """Runs `python -m training speech-encoder` and prints what it trained on as JSON."""
    torch.set_num_threads(args.threads)
    recipe = load_recipe(args.recipe).replace(**parse_settings(args.settings))
    if args.steps:
        recipe = recipe.replace(steps=args.steps)
    folder = args.cache or args.corpus.parent
    if args.start:
        found = train_further(recipe, args.corpus, folder, args.out, args.start, args.unlabelled, args.cpu)
    else:
        found = train_encoder(recipe, args.corpus, folder, args.out, args.unlabelled, args.cpu)
    print(json.dumps(found, indent=2))
