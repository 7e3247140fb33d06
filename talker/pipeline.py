"""Talker: the one door from speech to takes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from talker.audio import Speech
from talker.checkpoints import fingerprint, load_config
from talker.editing import MotionEdit
from talker.encoders import SpeechEncoder
from talker.errors import TalkerError
from talker.guidance import Guidance, guidance_scales
from talker.identity import AUTO, EnrolledIdentity, Identities, Match
from talker.models import DENOISERS
from talker.models.motion_model import MotionModel
from talker.motion import ARKIT_NAMES, BROW_BAND, BROW_REGION, HEAD_BAND, Motion, check_lengths, steadied
from talker.samplers import SAMPLERS, draw_noise, take_generators
from talker.style import StyleEncoder
from talker.takes import Choices, Takes

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
"""Where the embedded checkpoints lie."""

STYLE_ENCODER = "style-encoder"
"""Name of the embedded style encoder."""

EXAMPLE = "an example of motion"
"""What a style is called that was told from motion without a name."""

MAX_TAKES = 16
"""Most takes of one utterance: all of them are one batch."""

Callback = Callable[[str, float], None]


def available_models(folder: Path = CHECKPOINTS) -> dict[str, str]:
    """Name → one-line summary of every denoiser checkpoint in a folder."""
    models = {}
    for path in sorted(folder.glob("*/config.json")):
        config = load_config(path.parent)
        if config.get("model_type") in DENOISERS:
            models[path.parent.name] = config.get("summary", "")
    return models


def checkpoint_folder(model: str | Path) -> Path:
    """The folder of an embedded checkpoint by name, or the folder given. TalkerError when there is neither."""
    embedded = CHECKPOINTS / str(model)
    if embedded.is_dir():
        return embedded
    if Path(model).is_dir():
        return Path(model)
    raise TalkerError(
        f"There is no model {str(model)!r}; choose one of {', '.join(available_models())} or give a checkpoint's folder."
    )


class Talker:
    """A loaded model with its speech encoder and identities.

    library         : who it can speak as, learned and enrolled; nobody for a model trained without identities
    seconds_to_load : what loading took
    own_style       : the speaking style (128,) of the person it was personalised for (talker.personalise), taken where no
                      other is asked for
    person          : name of that person; None for a model that was not personalised
    own_steps       : denoising steps taken where no number is asked for; None for all of them
    """

    own_style: torch.Tensor | None = None
    own_steps: int | None = None
    person: str | None = None

    def __init__(self, denoiser: MotionModel, encoder: SpeechEncoder, name: str, device: torch.device):
        self.denoiser = denoiser
        self.encoder = encoder
        self.name = name
        self.device = device
        self.library = Identities(denoiser.library)
        self.style_folder = CHECKPOINTS / STYLE_ENCODER
        self.seconds_to_load = 0.0

    @classmethod
    def from_pretrained(cls, model: str | Path = "diffusiontalker", device: str | None = None) -> Talker:
        """Load an embedded checkpoint by name, or any checkpoint folder. TalkerError when it is missing or broken."""
        start = time.perf_counter()
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device.startswith("cuda") and not torch.cuda.is_available():
            raise TalkerError("This machine has no CUDA device; leave --device out or say --device cpu.")
        folder = checkpoint_folder(model)
        config = load_config(folder)
        if config.get("model_type") not in DENOISERS:
            raise TalkerError(
                f"The checkpoint {folder} is a {config.get('model_type')!r}, which makes no motion; "
                f"choose one of {', '.join(available_models())}."
            )
        denoiser = DENOISERS[config["model_type"]].from_pretrained(folder, device)
        # An encoder beside the checkpoint or among the embedded ones; another speech encoder is a hub's id.
        places = [
            next((place / name for place in (folder.parent, CHECKPOINTS) if (place / name).is_dir()), name)
            for name in (config.get("encoder", "speech-encoder"), config.get("style_encoder", STYLE_ENCODER))
        ]
        # A denoiser that has trained the encoder's upper layers brings them itself.
        encoder = SpeechEncoder.from_pretrained(places[0], device, bool(config.get("trunk")))
        talker = cls(denoiser, encoder, folder.resolve().name, torch.device(device))
        talker.style_folder = places[1]
        talker.seconds_to_load = time.perf_counter() - start
        return talker

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """What identities and personalisations are bound to: fingerprints of the weights of the "encoder", of what of it
        hears the "voice", and of the "checkpoint"."""
        parts = {"encoder": self.encoder.model, "voice": self.encoder.voice_path, "checkpoint": self.denoiser}
        return {name: fingerprint(part) for name, part in parts.items()}

    def with_enrolled(self, enrolled: Mapping[str, EnrolledIdentity]) -> Talker:
        """This model with the identities it learned and these (talker.identity_file.read_identities); weights are shared."""
        talker = copy.copy(self)
        bound = (self.fingerprints["voice"], self.fingerprints["checkpoint"]) if enrolled else ()
        talker.library = Identities(self.denoiser.library, enrolled, *bound)
        return talker

    @property
    def identities(self) -> list[str]:
        """Names of all identities, the learned ones first."""
        return list(self.library.names)

    @cached_property
    def style_encoder(self) -> StyleEncoder:
        """What tells speaking styles from motion. TalkerError for a model without styles, and where it is missing."""
        if "style" not in self.denoiser.guidances:
            raise TalkerError(f"The model {self.name} has no speaking styles; leave the style out, or choose another model.")
        return StyleEncoder.from_pretrained(self.style_folder, self.device)

    @property
    def styles(self) -> dict[str, str]:
        """The speaking styles that ship, name → what it is in a line; none for a model without styles."""
        return self.style_encoder.named_styles() if "style" in self.denoiser.guidances else {}

    @property
    def max_steps(self) -> int:
        """N, the steps of the model's own schedule."""
        return self.denoiser.schedule.steps

    def match(self, speech: Speech) -> Match:
        """The identities whose voices are most like the speech's; NO_MATCH for a model without identities."""
        features = self.encoder.encode(speech, 1)
        return self.library.match(features.voice)

    def speak(
        self,
        speech: Speech,
        takes: int = 4,
        seed: int = 0,
        identity: str | Mapping[str, float] = AUTO,
        steps: int | None = None,
        eta: float | None = None,
        guidance: Guidance | None = None,
        callback: Callback | None = None,
        style: str | Motion | None = None,
        head: bool = True,
        edit: MotionEdit | None = None,
        sampler: str | None = None,
    ) -> Takes:
        """Sample several takes of one utterance: encoded once, matched once, denoised in one batch.

        takes    : S ≥ 1; each starts from its own noise, and the first ones do not depend on S
        seed     : the same seed gives the same takes, bit for bit, on one device
        identity : "auto" takes the best match of the voice, else a name, or a blend of several with weights:
                   "NAME:0.7,OTHER:0.3" or {"NAME": 0.7, "OTHER": 0.3}
        steps    : 1 to the model's N, by default own_steps or all of them
        eta      : noise added back on every step; 0 deterministic (the default of distilled students), 1 ancestral
        guidance : how closely the speech is followed, or a scale for each of the model's guidances, the model's own
                   by default; 0 for all of them is unconditional. Models trained without refuse it
        callback : called with (stage, fraction of the stage done)
        style    : speaking style, of one that ships by its name or of a motion as an example, by default the model's own if
                   it was personalised; models without refuse it
        head     : whether the head moves
        edit     : motion that is given (talker.editing.plan_edit), of the speech's length; it comes back exactly
        sampler  : a name of talker.samplers.SAMPLERS, the checkpoint's own by default
        Raises TalkerError for all that cannot be, before anything is computed.
        """
        if not 1 <= takes <= MAX_TAKES:
            raise TalkerError(f"Between 1 and {MAX_TAKES} takes can be sampled at once, not {takes}.")
        scales = guidance_scales(self.denoiser.default_guidance if guidance is None else guidance, self.denoiser.guidances, self.name)
        followed = {part: scales.get(part, 1.0) for part in self.denoiser.guidances}
        vector, gain = self.own_style, 1.0
        if style is not None:
            vector = self.style_encoder.style(style) if isinstance(style, str) else self.style_encoder.encode(style)
            if followed.get("style", 1.0):
                gain = self.style_encoder.head_gain(style)
        if vector is None and "style" in scales:
            scales["style"] = 0.0  # the same takes without a pass for a style that nobody has
        if sampler is not None and sampler not in SAMPLERS:
            raise TalkerError(f"There is no sampler {sampler}; choose one of {', '.join(SAMPLERS)}.")
        if edit is not None:
            check_lengths(Motion(edit.given, edit.given, edit.fps), speech.seconds, "The motion to edit")
            if edit.fps != self.denoiser.config.fps:
                raise TalkerError(
                    f"The edit is planned at {edit.fps:g} frames a second and the model {self.name} makes "
                    f"{self.denoiser.config.fps:g}; plan it at the model's, or choose another model."
                )
        if identity != AUTO:
            self.library.weights(identity)  # refuses what nobody is called before anything is computed
        steps = self.own_steps if steps is None else steps
        self.denoiser.schedule.subset(steps)
        report = callback or (lambda stage, fraction: None)
        seconds = {"load": self.seconds_to_load}

        start = time.perf_counter()
        report("encode", 0.0)
        fps = self.denoiser.config.fps
        features = self.encoder.encode(speech, speech.frames(fps), fps)
        report("encode", 1.0)
        seconds["encode"] = time.perf_counter() - start

        start = time.perf_counter()
        match = self.library.match(features.voice, identity)
        report("match", 1.0)
        seconds["match"] = time.perf_counter() - start

        start = time.perf_counter()
        embedding = self.library.embedding(match.weights) if match.weights else None
        edit = edit and edit.resized(len(features.frames))
        clean = self.denoise(
            features.frames, embedding, takes, seed, steps, eta, lambda done, count: report("sample", done / count),
            scales, vector, edit, sampler,
        )  # fmt: skip
        coefficients, rotation = self.motion_of(clean, head, edit, gain)
        vertices = {}
        if self.denoiser.vertices:
            face = self.denoiser.face
            displacements = self.denoiser.to_vertices(clean).cpu().numpy().astype(np.float16)
            vertices = {"vertices": displacements, "vertex_index": face.index.cpu().numpy(), "rig": face.fingerprint}
        seconds["sample"] = time.perf_counter() - start
        return Takes(
            coefficients=coefficients,
            head=rotation,
            fps=fps,
            seed=seed,
            identity=match,
            model=self.name,
            steps=steps or self.max_steps,
            device=self.device.type,
            seconds=seconds,
            choices=Choices(
                sampler or self.denoiser.config.sampler, followed, self._style_name(style), self.person,
                bool(rotation.any()), edit is not None,
            ),
            **vertices,
        )

    def _style_name(self, style: str | Motion | None) -> str | None:
        """What people call the style that takes are in."""
        if style is None:
            return None if self.own_style is None else self.person
        return style if isinstance(style, str) else EXAMPLE

    def sample(
        self,
        frames: np.ndarray,
        embedding: torch.Tensor | None,
        takes: int = 4,
        seed: int = 0,
        steps: int | None = None,
        eta: float | None = None,
        callback: Callable[[int, int], None] | None = None,
        scales: Mapping[str, float] | None = None,
        style: torch.Tensor | None = None,
        head: bool = True,
        edit: MotionEdit | None = None,
        sampler: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (S, T, 52) and head (S, T, 3) for speech features (T, D), an identity embedding (32,), or
        None for a model without identities, scales of guidance and a style (128,) or None; the other arguments as
        for `speak`."""
        edit = edit and edit.resized(len(frames))
        clean = self.denoise(frames, embedding, takes, seed, steps, eta, callback, scales, style, edit, sampler)
        return self.motion_of(clean, head, edit)

    @torch.inference_mode()
    def denoise(
        self,
        frames: np.ndarray,
        embedding: torch.Tensor | None,
        takes: int,
        seed: int,
        steps: int | None,
        eta: float | None,
        callback: Callable[[int, int], None] | None,
        scales: Mapping[str, float] | None,
        style: torch.Tensor | None,
        edit: MotionEdit | None,
        sampler: str | None,
    ) -> torch.Tensor:
        """What the model makes, standardised: x0 (S, T, C). Arguments as for `sample`; the edit is as long as the speech."""
        model = self.denoiser
        generators = take_generators(seed, takes)
        options = {} if eta is None else {"eta": eta}
        noise = draw_noise((takes, len(frames), model.channels), generators).to(self.device)
        return model.sample(
            SAMPLERS[sampler or model.config.sampler], model.condition(frames, embedding, style),
            model.start_noise(noise), steps, scales, edit and edit.standardised(model), callback,
            generator=generators, **options,
        )  # fmt: skip

    def motion_of(
        self, clean: torch.Tensor, head: bool, edit: MotionEdit | None, head_gain: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (S, T, 52) and head (S, T, 3), brows and head steadied, of what the model made, with what is given
        as it was given. Coefficients that were fitted to vertices stay as they were fitted.

        head_gain : how many times as far from its mean the head turns; heads of which some is given go on as they are
        """
        coefficients, rotation = (part.float().cpu().numpy() for part in self.denoiser.to_motion(clean))
        fps = self.denoiser.config.fps
        rotation = steadied(rotation, fps, HEAD_BAND)
        if head_gain != 1.0 and (edit is None or not edit.mask[:, len(ARKIT_NAMES) :].any()):
            mean = rotation.mean(axis=1, keepdims=True)
            rotation = mean + head_gain * (rotation - mean)
        if not self.denoiser.vertices:
            coefficients[..., BROW_REGION] = steadied(coefficients[..., BROW_REGION], fps, BROW_BAND).clip(0, 1)
        if edit is not None:
            has_head = len(self.denoiser.config.channels) > len(ARKIT_NAMES)
            coefficients, rotation = edit.restore(coefficients, rotation, has_head)
        return coefficients, rotation if head else np.zeros_like(rotation)
