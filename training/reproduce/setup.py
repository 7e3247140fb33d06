"""What all experiments share: budgets, the data they use, where their results go."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from talker.checkpoints import CONFIG_FILE, WEIGHTS_FILE
from talker.errors import TalkerError
from talker.pipeline import CHECKPOINTS
from training.beat import CORPUS_FILE, Utterance, read_corpus
from training.dataset import FeatureCache
from training.features import feature_caches, fingerprint
from training.recipe import load_recipe
from training.reproduce.beat_sequences import cut_sequences

DEFAULT_RECIPES = {
    "diffusiontalker": "diffusiontalker-default", "distill": "distill",
    "facediffuser": "facediffuser-default", "regression": "regression-default",
    "diffposetalk": "diffposetalk-default", "style-encoder": "style-encoder", "3diface": "3diface-default",
}  # fmt: skip
"""What is trained -> recipe of the small budget."""

PAPER_RECIPES = {
    "diffusiontalker": "diffusiontalker", "distill": "diffusiontalker",
    "facediffuser": "facediffuser", "regression": "regression",
    "diffposetalk": "diffposetalk", "style-encoder": "style-encoder", "3diface": "3diface",
}  # fmt: skip
"""The same with the papers' own hyper-parameters; students learn with their teacher's."""

SMALL_STEPS = {"style-encoder": 400, "3diface": 6000}
"""Training steps of the small budget where they are not those of the others."""

FAST = {"sampler": "dpm-solver++", "steps": 20}
"""How models of hundreds of steps are sampled in the small budget."""


@dataclass(frozen=True)
class Budget:
    """How much computing a table gets.

    recipes                : what is trained -> name or file of the recipe
    steps, distill_steps   : training steps of a model and of each distillation stage; 0 leaves them to the recipe
    changes                : (key, value) of fields that differ in the recipes of DiffusionTalker and its rivals
    own_steps              : what is trained -> its training steps instead of `steps`
    personal_steps         : training steps of a personalisation
    sampling               : arguments of Talker.speak for DiffPoseTalk and 3DiFACE: how they are sampled
    utterances             : held-out utterances that are measured, evenly spread; None for all
    takes                  : animations of each
    seconds, repeats       : length of the speech that inference is timed on, and how often
    trial                  : `utterances` also limits what is measured in full otherwise
    """

    name: str = "small"
    recipes: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_RECIPES))
    steps: int = 800
    distill_steps: int = 300
    changes: tuple[tuple[str, object], ...] = ()
    own_steps: dict[str, int] = field(default_factory=dict)
    personal_steps: int = 600
    sampling: dict = field(default_factory=lambda: dict(FAST))
    utterances: int | None = 24
    takes: int = 2
    seconds: float = 10.0
    repeats: int = 3
    trial: bool = False

    def steps_of(self, what: str) -> int:
        """Training steps of what is trained; 0 for its recipe's."""
        return self.own_steps.get(what, self.steps)


SMALL = Budget(changes=(("batch_size", 16),), own_steps=SMALL_STEPS)
"""Every table of DiffusionTalker in less than two hours on two cores, all of them in an afternoon; those of
DiffPoseTalk and 3DiFACE together in less than three."""

FULL = Budget("full", PAPER_RECIPES, steps=0, distill_steps=0, personal_steps=30_000, sampling={}, utterances=None,
              takes=4, repeats=5)  # fmt: skip
"""The papers': of DiffusionTalker (section 4.1) 50 epochs at a constant rate for the teacher, and for each of its
students, whose number the paper leaves open; of 3DiFACE 30,000 steps for a personalisation (section 11.2)."""


@dataclass(frozen=True)
class Setup:
    """Data, budget and folders of one experiment.

    corpus  : folder in BEAT's layout with a corpus.json
    encoder : folder or hub id of the speech encoder
    runs    : folder of trained models and features, shared by all experiments
    out     : folder of the experiment's own results
    budget  : Budget
    jobs    : trainings and measurements side by side, one process and one thread each; 1 runs them in this process
    features_folder : where features may lie already
    vocaset : folder of VOCASET for table 3, or None
    rig     : face for vertices and pictures, as `--rig` of talker takes it; the default one unless given
    model   : checkpoint to measure instead of training one, where a target needs the student alone
    """

    corpus: Path
    encoder: str
    runs: Path
    out: Path
    budget: Budget = SMALL
    jobs: int = 1
    features_folder: Path | None = None
    vocaset: Path | None = None
    rig: str | None = None
    model: str | None = None

    @cached_property
    def variants(self) -> int:
        """Augmented copies of each training utterance."""
        return load_recipe(self.budget.recipes["diffusiontalker"]).variants

    @cached_property
    def fingerprint(self) -> str:
        """What the features are made from."""
        return fingerprint(self.corpus, self.encoder, self.variants)

    @cached_property
    def data(self) -> str:
        """What tables call the corpus."""
        content = json.loads((self.corpus / CORPUS_FILE).read_text(encoding="utf-8"))
        return "synthetic corpus" if "synthetic" in content else content.get("name", self.corpus.name)

    @cached_property
    def _utterances(self) -> dict[str, dict]:
        return json.loads((self.corpus / CORPUS_FILE).read_text(encoding="utf-8"))["utterances"]

    def has(self, split: str) -> bool:
        """Whether the corpus has utterances of a split."""
        return any(entry["split"] == split for entry in self._utterances.values())

    def is_recorded(self, utterance: Utterance) -> bool:
        """Whether a person speaks; corpora of this project tell the engine of every synthetic voice."""
        return self._utterances[utterance.id].get("engine", "recording") == "recording"

    @property
    def texts(self) -> dict[str, str]:
        """Utterance id -> what it says, as far as the corpus knows."""
        return {name: entry.get("text", "") for name, entry in self._utterances.items()}

    @cached_property
    def features(self) -> Path:
        """Folder of the features: the corpus's own where they fit, else one here, computed once."""
        given = self.features_folder
        if given and (given / "train.safetensors").exists():
            if FeatureCache.load(given / "train.safetensors").notes.get("made_from") == self.fingerprint:
                return given
        return self.runs / f"features-{self.fingerprint}"

    def prepare(self) -> None:
        """Compute the features once, before several processes share them."""
        feature_caches(self.features, self.corpus, self.encoder, self.variants)

    @property
    def legend(self) -> str:
        """What a table's "ours" are trained and measured on, in words."""
        train = {e.get("base", name): e.get("seconds", 0) for name, e in self._utterances.items() if e["split"] == "train"}
        hours = f", {sum(train.values()) / 3600:.1f} h to train on" if any(train.values()) else ""
        return f"{self.data}{hours}, {self.budget.name} budget"

    def held_out(self, count: int | None = -1, split: str = "heldout_utterance") -> list[Utterance]:
        """Held-out utterances, evenly spread over their speakers: `count` of them, the budget's unless given.

        Raises TalkerError when the corpus has none.
        """
        found = read_corpus(self.corpus, [split])
        if not found:
            raise TalkerError(
                f"{self.corpus} has no utterance of the split {split}; make it with `python -m training corpus`."
            )
        return spread(found, self.budget.utterances if count == -1 else count)


def spread(items: list, count: int | None) -> list:
    """`count` of the items, evenly spread from the first to the last; all of them when None or more than there are."""
    if count is None or count >= len(items):
        return items
    return [items[k] for k in np.linspace(0, len(items) - 1, count).round().astype(int)]


def digest(*values: object) -> str:
    """Twelve hex digits that differ when a value does."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def checkpoint_digest(checkpoint: Path, *further: Path) -> str:
    """Sixteen hex digits that differ when a checkpoint does, in its weights or in the config, which says how takes are
    sampled, or one of further files."""
    found = hashlib.blake2b(digest_size=8)
    for path in (checkpoint / WEIGHTS_FILE, checkpoint / CONFIG_FILE, *further):
        found.update(path.read_bytes())
    return found.hexdigest()


def find_corpus(data: Path, runs: Path) -> tuple[Path, Path | None]:
    """(corpus with splits, folder of its features or None) of what --data names.

    data : the folder that `reproduce checkpoints` fills (corpus/ and features/), a corpus of `corpus`, or
           BEAT as it is published, whose recordings are cut into sequences and split first
    """
    if (data / "corpus" / CORPUS_FILE).exists():
        return data / "corpus", data / "features"
    if (data / CORPUS_FILE).exists():
        return data, None
    if any(data.glob("*/*.wav")):
        return cut_sequences(data, runs / f"beat-{digest(os.fspath(data.resolve()))}"), None
    raise TalkerError(
        f"{data} holds neither a corpus (make one with `python -m training corpus`) nor BEAT's "
        "{speaker}/{id}.wav with .json; give --data another folder."
    )


def find_encoder(encoder: str | None, budget: Budget, data: str) -> str:
    """The speech encoder: the one given; the embedded one, or for the paper's budget on BEAT the paper's own."""
    if encoder:
        return encoder
    recipe = load_recipe(budget.recipes["diffusiontalker"]).encoder
    if data == "BEAT" or Path(recipe).is_dir():
        return recipe
    return str(CHECKPOINTS / "speech-encoder")
