"""Talker: the one door from speech to takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from talker.audio import Speech
from talker.checkpoints import load_config
from talker.encoders import SpeechEncoder
from talker.errors import TalkerError
from talker.identity import Match
from talker.models import DENOISERS
from talker.models.motion_model import MotionModel
from talker.motion import FPS
from talker.samplers import SAMPLERS, draw_noise, take_generators
from talker.takes import Takes
from talker.windows import windowed

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
"""Where the embedded checkpoints lie."""

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


def _checkpoint_folder(model: str | Path) -> Path:
    embedded = CHECKPOINTS / str(model)
    if embedded.is_dir():
        return embedded
    if Path(model).is_dir():
        return Path(model)
    raise TalkerError(
        f"There is no model {str(model)!r}; choose one of {', '.join(available_models())} or give a checkpoint's folder."
    )


class Talker:
    """A loaded model with its speech encoder and, unless it was trained without, its identity library.

    identities      : names of the library, none for a model without one
    seconds_to_load : what loading took
    """

    def __init__(self, denoiser: MotionModel, encoder: SpeechEncoder, name: str, device: torch.device):
        self.denoiser = denoiser
        self.encoder = encoder
        self.name = name
        self.device = device
        self.seconds_to_load = 0.0

    @classmethod
    def from_pretrained(cls, model: str | Path = "diffusiontalker", device: str | None = None) -> Talker:
        """Load an embedded checkpoint by name, or any checkpoint folder. TalkerError when it is missing or broken."""
        start = time.perf_counter()
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device.startswith("cuda") and not torch.cuda.is_available():
            raise TalkerError("This machine has no CUDA device; leave --device out or say --device cpu.")
        folder = _checkpoint_folder(model)
        config = load_config(folder)
        if config.get("model_type") not in DENOISERS:
            raise TalkerError(
                f"The checkpoint {folder} is a {config.get('model_type')!r}, which makes no motion; "
                f"choose one of {', '.join(available_models())}."
            )
        denoiser = DENOISERS[config["model_type"]].from_pretrained(folder, device)
        encoder_name = config.get("encoder", "speech-encoder")
        # An encoder beside the checkpoint or among the embedded ones; anything else is a hub's id.
        beside = [place / encoder_name for place in (folder.parent, CHECKPOINTS) if (place / encoder_name).is_dir()]
        encoder = SpeechEncoder.from_pretrained(beside[0] if beside else encoder_name, device)
        talker = cls(denoiser, encoder, folder.resolve().name, torch.device(device))
        talker.seconds_to_load = time.perf_counter() - start
        return talker

    @property
    def identities(self) -> list[str]:
        """Names in the identity library."""
        return list(self.denoiser.library.names) if self.denoiser.library else []

    @property
    def max_steps(self) -> int:
        """N, the steps of the model's own schedule."""
        return self.denoiser.schedule.steps

    def match(self, speech: Speech) -> Match:
        """The identities whose voices are most like the speech's; NO_MATCH for a model without identities."""
        features = self.encoder.encode(speech, 1)
        return self.denoiser.match(features.voice)

    def speak(
        self,
        speech: Speech,
        takes: int = 4,
        seed: int = 0,
        identity: str = "auto",
        steps: int | None = None,
        eta: float | None = None,
        guidance: float | None = None,
        callback: Callback | None = None,
    ) -> Takes:
        """Sample several takes of one utterance: encoded once, matched once, denoised in one batch.

        takes    : S ≥ 1; each starts from its own noise, and the first ones do not depend on S
        seed     : the same seed gives the same takes, bit for bit, on one device
        identity : "auto" takes the best match of the voice, else a name of the library
        steps    : 1 to the model's N, all of them by default
        eta      : noise added back on every step; 0 deterministic (the default of distilled students), 1 ancestral
        guidance : for models trained with dropped conditions; others refuse it
        callback : called with (stage, fraction of the stage done)
        """
        if not 1 <= takes <= MAX_TAKES:
            raise TalkerError(f"Between 1 and {MAX_TAKES} takes can be sampled at once, not {takes}.")
        if guidance is not None:
            raise TalkerError(f"The model {self.name} was trained without guidance; leave the guidance out.")
        if identity != "auto":
            if self.denoiser.library is None:
                raise TalkerError(f"The model {self.name} was trained without identities; leave the identity out.")
            self.denoiser.library.index(identity)
        self.denoiser.schedule.subset(steps)
        report = callback or (lambda stage, fraction: None)
        seconds = {"load": self.seconds_to_load}

        start = time.perf_counter()
        report("encode", 0.0)
        features = self.encoder.encode(speech, speech.frames(FPS), FPS)
        report("encode", 1.0)
        seconds["encode"] = time.perf_counter() - start

        start = time.perf_counter()
        match = self.denoiser.match(features.voice)
        if identity != "auto":
            match = Match(identity, dict(match.ranking)[identity], match.ranking)
        report("match", 1.0)
        seconds["match"] = time.perf_counter() - start

        start = time.perf_counter()
        sampler = SAMPLERS[self.denoiser.config.sampler]
        generators = take_generators(seed, takes)
        shape = (takes, len(features.frames), self.denoiser.channels)
        options = {} if eta is None else {"eta": eta}
        with torch.inference_mode():
            clean = sampler(
                windowed(self.denoiser), shape, self.denoiser.schedule,
                self.denoiser.condition(features.frames, match.name), steps,
                generator=generators, noise=self.denoiser.start_noise(draw_noise(shape, generators).to(self.device)),
                callback=lambda done, count: report("sample", done / count), **options,
            )  # fmt: skip
            coefficients, head = self.denoiser.to_motion(clean)
        seconds["sample"] = time.perf_counter() - start
        return Takes(
            coefficients=coefficients.float().cpu().numpy(),
            head=head.float().cpu().numpy(),
            fps=FPS,
            seed=seed,
            identity=match,
            model=self.name,
            steps=steps or self.max_steps,
            device=self.device.type,
            seconds=seconds,
        )
