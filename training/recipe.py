"""Recipes: everything that decides how a checkpoint comes out, as YAML beside the code."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from talker.errors import TalkerError
from talker.identity import TEMPERATURE
from talker.models import DENOISERS
from talker.models.motion_model import START_NOISE
from talker.motion import FPS
from talker.schedules import SCHEDULES

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters; the defaults are the paper's (section 4.1) where it names them.

    model            : what is trained: a name of talker.models.DENOISERS
    encoder          : folder or hub id of the frozen speech encoder
    data             : what the figures were trained on, copied into config.json
    schedule         : "linear" or "cosine"
    diffusion_steps  : N of the schedule
    identity         : condition on the speaker; without it there is no identity library and no contrast loss
    head             : also model the head's three angles
    steps, epochs    : length of the training; one of them is 0
    crop_frames      : shortest and longest crop
    learning_rate_end: what a cosine ends at; learning_rate for a constant rate
    clip_norm        : largest norm of the gradient, 0 for none
    ema_decay        : decay of the averaged weights that are validated and shipped, 0 for none
    precision        : "fp32" or "bf16" (matrix products of the training only, and where the hardware has them)
    voice_statistics : centre and decorrelate voices by the training voices (see IdentityLibrary)
    variants         : augmented copies of each training utterance in the feature cache
    closure_weight   : how much more closed lips count than other frames (training.losses.closure_emphasis)
    clean_share      : how often a training crop hears the recording itself and not one of those copies
    language_minutes : speech of each of training.languages' languages that teaches the speech encoder
    best_by          : validation losses whose sum is least for the checkpoint that ships; none: the last one ships
    stages           : student steps of a distillation, in order
    rig              : face whose vertices a model moves or takes losses on: a look, or the path of a file; "" is the first look
    skip, lip_guidance : of 3DiFACE; see ThreeDiFaceConfig
    backbone         : of 3DiFACE; see ThreeDiFaceConfig
    left_out         : speakers of the corpus that take no part in the training
    drop_audio       : share of the crops that 3DiFACE hears no speech with
    lip_noise, upper_noise, head_noise : of the model, or of a distillation's students; see MotionConfig
    fps              : frames a second of the model's motion
    heads, window_frames, previous_frames, alignment : of DiffPoseTalk; see DiffPoseTalkConfig
    movement, partial_share : of the style encoder: see StyleConfig; and the share of its steps in which second halves show
                       a part of the motion alone
    style_encoder    : folder of the trained style encoder; "" for a model without styles
    train_encoder    : train the speech encoder too, but for its convolutions
    flame            : the user's FLAME file, for motion in FLAME's terms; "" for ARKit's coefficients
    """

    name: str = "diffusiontalker"
    model: str = "diffusiontalker"
    encoder: str = "facebook/hubert-base-ls960"
    data: str = "BEAT"
    schedule: str = "linear"
    diffusion_steps: int = 32
    identity: bool = True
    head: bool = True
    bidirectional: bool = False
    hidden_dim: int = 256
    layers: int = 2
    step_dim: int = 64
    dropout: float = 0.0
    temperature: float = TEMPERATURE
    learn_temperature: bool = False
    voice_statistics: bool = True
    loss_weights: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    epochs: float = 0
    batch_size: int = 32
    crop_frames: tuple[int, int] = (100, 150)
    learning_rate: float = 1e-4
    learning_rate_end: float = 1e-4
    warmup_steps: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    precision: str = "fp32"
    variants: int = 0
    clean_share: float = 0.5
    closure_weight: float = 1.0
    language_minutes: float = 0.0
    seed: int = 0
    validate_every: int = 1000
    validation_batches: int = 8
    save_every: int = 500
    best_by: tuple[str, ...] = ("total",)
    stages: tuple[int, ...] = ()
    lip_noise: float = 1.0
    upper_noise: float = 1.0
    head_noise: float = 1.0
    rig: str = ""
    skip: bool = False
    lip_guidance: float = 0.0
    drop_audio: float = 0.1
    backbone: str = "convolution"
    left_out: tuple[str, ...] = ()
    fps: float = FPS
    heads: int = 8
    window_frames: int = 100
    previous_frames: int = 10
    alignment: bool = True
    movement: bool = False
    partial_share: float = 0.0
    style_encoder: str = ""
    train_encoder: bool = False
    flame: str = ""

    def __post_init__(self):
        if bool(self.steps) == bool(self.epochs):
            raise TalkerError(f"The recipe {self.name} needs either steps or epochs; set one of them.")
        if self.model not in DENOISERS:
            raise TalkerError(f"There is no model {self.model} as in the recipe; choose one of {', '.join(DENOISERS)}.")
        if self.schedule not in SCHEDULES:
            raise TalkerError(f"The schedule of a recipe is {' or '.join(SCHEDULES)}, not {self.schedule}; correct it.")
        if self.precision not in ("fp32", "bf16"):
            raise TalkerError(f"The precision of a recipe is fp32 or bf16, not {self.precision}; correct the recipe.")
        if not 2 <= self.crop_frames[0] <= self.crop_frames[1]:
            raise TalkerError("crop_frames needs the shortest and the longest crop, at least 2 frames; correct the recipe.")

    def replace(self, **changes) -> "Recipe":
        """A copy with these fields changed; setting steps unsets epochs, and the other way round."""
        for one, other in (("steps", "epochs"), ("epochs", "steps")):
            if changes.get(one):
                changes.setdefault(other, 0)
        return dataclasses.replace(self, **changes)

    def with_settings(self, settings: Sequence[str]) -> "Recipe":
        """A copy changed by KEY=VALUE words (parse_settings); of loss_weights only those that are named."""
        changes = parse_settings(settings)
        if "loss_weights" in changes:
            changes["loss_weights"] = {**self.loss_weights, **changes["loss_weights"]}
        return self.replace(**changes)

    def text(self) -> str:
        """As YAML, with every field, for the checkpoint's recipe.yaml."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        return yaml.safe_dump(values, sort_keys=False)

    def changed(self) -> dict[str, object]:
        """The fields that are not at their defaults: what tells a training from others, whatever fields recipes get later."""
        defaults = {f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory() for f in dataclasses.fields(self)}
        return {name: value for name, value in dataclasses.asdict(self).items() if value != defaults[name]}

    def start_noise(self) -> dict[str, float]:
        """The fields of a model's config that say how much noise its takes start from."""
        return {name: getattr(self, name) for name in START_NOISE}

    def total_steps(self, frames: int) -> int:
        """Training steps for a split of that many motion frames."""
        if self.steps:
            return self.steps
        per_batch = self.batch_size * sum(self.crop_frames) / 2
        return max(1, round(self.epochs * frames / per_batch))

    def rate(self, step: int, total: int) -> float:
        """Learning rate of a 1-based step: linear warm-up, then a cosine to learning_rate_end."""
        if step <= self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        share = (step - self.warmup_steps) / max(1, total - self.warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        return self.learning_rate_end + (self.learning_rate - self.learning_rate_end) * fall


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe by its file, or by its name in training/recipes.

    Raises TalkerError when it is missing, not YAML, or holds what recipes do not have.
    """
    path = Path(name)
    if not path.is_file() and path.suffix != ".yaml":
        path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise TalkerError(f"There is no recipe {name}; give a YAML file or one of {known}.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TalkerError(f"The recipe {path} is not YAML ({str(error).splitlines()[0]}); correct it.") from None
    if not isinstance(values, dict):
        raise TalkerError(f"The recipe {path} holds no fields; write them as YAML, one a line.")
    return Recipe(**{name: _value(name, value, f"the recipe {path}") for name, value in values.items()})


def parse_settings(settings: Sequence[str]) -> dict[str, object]:
    """Fields of a recipe from `KEY=VALUE` words, their values read as YAML.

    A dotted key is one entry of a field that has several: loss_weights.lip=0; it comes back as
    {"loss_weights": {"lip": 0.0}}. Raises TalkerError for what recipes do not have or cannot hold.
    """
    found: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise TalkerError(f"The setting {setting!r} is not KEY=VALUE; write for instance learning_rate=1e-4.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise TalkerError(f"The value of the setting {setting!r} is not YAML; correct it.") from None
        name, dot, entry = key.partition(".")
        value = _value(name, {entry: value} if dot else value, f"the setting {setting!r}")
        found[name] = {**found.get(name, {}), **value} if dot else value
    return found


KIND_WORDS = {
    str: "a text", bool: "true or false", int: "a whole number", float: "a number",
    tuple: "a list of as many as it needs", dict: "a number by each name",
}  # fmt: skip
"""What a field of this kind holds, in a sentence."""


def _value(name: str, value: object, where: str) -> object:
    """What YAML read for a field, in the field's kind. TalkerError, saying where, for another kind."""
    kinds = typing.get_type_hints(Recipe)
    if name not in kinds:
        raise TalkerError(f"T{where[1:]} holds {name}, which recipes do not have; their fields are {', '.join(kinds)}.")
    try:
        return _convert(value, kinds[name])
    except ValueError:
        kind = typing.get_origin(kinds[name]) or kinds[name]
        raise TalkerError(f"A recipe's {name} is {KIND_WORDS[kind]}, not {value!r}; correct {where}.") from None


def _convert(value: object, kind: type) -> object:
    """A value in a kind of field. ValueError when it is not of that kind."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_convert(one, part) for one, part in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, dict):
        return {str(key): _convert(one, parts[1]) for key, one in value.items()}
    # YAML 1.1 reads 1e-4 as a string.
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number):
            return number
    elif type(value) is kind:
        return value
    raise ValueError
