"""Synthetic voices whose phone times are known exactly.

flite prints the end of every phone it speaks (-psdur), espeak-ng's library reports them
(training.espeak), festival writes them (training.festival). Further speakers come from WORLD
analysis and resynthesis (Morise et al., 2016): pitch, pitch range and vocal-tract length change,
phone times do not move. What they say comes from training.text.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from training import languages
from training.alignment import PHONES, SILENCE, Phone, contiguous
from training.articulation import generator
from training.espeak import espeak
from training.festival import festival
from training.text import sentences

FLITE_VOICES: dict[str, str] = {"slt": "F", "rms": "M", "awb": "M", "kal16": "M"}
"""flite's 16 kHz voices and the sex of the speaker each was recorded from."""

# flite's phone set is the ARPAbet in lower case with schwas and flaps of its own.
_FLITE_PHONES = {"ax": "AH", "axr": "ER", "ix": "IH", "dx": "D", "el": "L", "em": "M", "en": "N",
                 "nx": "N", "pau": SILENCE, "h#": SILENCE, "brth": SILENCE, "ssil": SILENCE}  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """A synthetic speaker.

    name    : "flite-slt-low": what its folder in the corpus is called; of another language "language-es"
    voice   : flite's or festival's voice or espeak-ng's variant
    sex     : "F" or "M", how it sounds
    pitch   : factor on the fundamental frequency
    range   : factor on its excursions around the utterance's mean, in log frequency
    formant : factor on the formants; above 1 a shorter vocal tract
    stretch : factor on all durations, inside the engine
    """

    name: str
    voice: str
    sex: str
    pitch: float = 1.0
    range: float = 1.0
    formant: float = 1.0
    stretch: float = 1.0

    @property
    def engine(self) -> str:
        """What speaks: "flite", "festival", "espeak", or "language" for espeak-ng in another language than English."""
        return self.name.split("-")[0]

    @property
    def language(self) -> str:
        """Code of the language, of training.languages, of a voice whose engine is "language"."""
        return self.name.partition("-")[2]


VOICES: tuple[Voice, ...] = (
    Voice("flite-slt", "slt", "F"),
    Voice("flite-slt-low", "slt", "F", pitch=0.84, formant=0.93, range=0.9, stretch=1.08),
    Voice("flite-slt-child", "slt", "F", pitch=1.35, formant=1.17, range=1.25, stretch=1.05),
    Voice("flite-slt-bright", "slt", "F", pitch=1.13, formant=1.07, range=1.4, stretch=0.90),
    Voice("flite-slt-male", "slt", "M", pitch=0.60, formant=0.85, stretch=1.0),
    Voice("flite-slt-calm", "slt", "F", pitch=0.95, formant=0.97, range=0.45, stretch=1.18),
    Voice("flite-rms", "rms", "M"),
    Voice("flite-rms-low", "rms", "M", pitch=0.82, formant=0.92, range=0.9, stretch=1.06),
    Voice("flite-rms-lively", "rms", "M", pitch=1.16, formant=1.03, range=1.8, stretch=0.90),
    Voice("flite-rms-tenor", "rms", "M", pitch=1.32, formant=1.07, range=1.2, stretch=0.96),
    Voice("flite-rms-female", "rms", "F", pitch=1.95, formant=1.17, range=1.1),
    Voice("flite-rms-fast", "rms", "M", pitch=1.05, formant=0.97, range=1.3, stretch=0.82),
    Voice("flite-awb", "awb", "M"),
    Voice("flite-awb-low", "awb", "M", pitch=0.80, formant=0.91, stretch=1.10),
    Voice("flite-awb-lively", "awb", "M", pitch=1.12, formant=1.05, range=1.7, stretch=0.92),
    Voice("flite-awb-female", "awb", "F", pitch=1.65, formant=1.16, range=1.1, stretch=0.98),
    Voice("flite-awb-slow", "awb", "M", pitch=0.93, formant=0.98, range=0.7, stretch=1.25),
    Voice("flite-kal", "kal16", "M"),
    Voice("flite-kal-low", "kal16", "M", pitch=0.84, formant=0.90, range=1.3, stretch=1.08),
    Voice("flite-kal-high", "kal16", "M", pitch=1.30, formant=1.06, range=1.6, stretch=0.95),
    Voice("flite-kal-female", "kal16", "F", pitch=1.75, formant=1.18, range=1.4),
    Voice("flite-kal-fast", "kal16", "M", pitch=1.08, formant=0.96, range=1.7, stretch=0.84),
    Voice("espeak-m1", "m1", "M", stretch=1.05),
    Voice("espeak-m3", "m3", "M"),
    Voice("espeak-m7", "m7", "M", stretch=0.92),
    Voice("espeak-adam", "adam", "M", stretch=1.10),
    Voice("espeak-f2", "f2", "F"),
    Voice("espeak-f3", "f3", "F", stretch=1.08),
    Voice("espeak-f5", "f5", "F", stretch=0.94),
    Voice("espeak-anika", "anika", "F"),
    Voice("espeak-m2", "m2", "M", pitch=1.22, range=1.3, stretch=0.96),
    Voice("espeak-m5", "m5", "M", pitch=0.86, range=0.8, stretch=1.08),
    Voice("espeak-klatt", "klatt2", "M", pitch=1.10, range=1.2, stretch=1.04),
    Voice("espeak-andy", "Andy", "M", pitch=1.14, range=1.6, stretch=0.88),
    Voice("espeak-pablo", "pablo", "M", pitch=1.30, range=1.1, stretch=0.98),
    Voice("espeak-grandpa", "grandpa", "M", pitch=0.92, range=1.4, stretch=1.14),
    Voice("espeak-alicia", "Alicia", "F", pitch=0.94, range=1.2),
    Voice("espeak-annie", "Annie", "F", pitch=1.08, range=0.7, stretch=0.95),
    Voice("espeak-belinda", "belinda", "F", pitch=0.88, range=1.6, stretch=1.06),
    Voice("espeak-shelby", "shelby", "F", pitch=1.16, range=0.9, stretch=0.90),
    Voice("espeak-grandma", "grandma", "F", pitch=0.95, range=0.8, stretch=1.15),
    Voice("espeak-steph", "steph", "F", pitch=1.20, range=1.7, stretch=1.02),
    Voice("festival-kal", "kal_diphone", "M", pitch=0.93, formant=1.10, range=1.5),
    Voice("festival-kal-bass", "kal_diphone", "M", pitch=0.74, formant=0.85, range=0.8, stretch=1.12),
    Voice("festival-kal-boy", "kal_diphone", "M", pitch=1.90, formant=1.30, range=1.6, stretch=1.04),
    Voice("festival-kal-female", "kal_diphone", "F", pitch=2.05, formant=1.12, range=1.8, stretch=0.90),
    Voice("festival-ked", "ked_diphone", "M"),
    Voice("festival-ked-low", "ked_diphone", "M", pitch=0.82, formant=0.91, range=1.4, stretch=1.10),
    Voice("festival-ked-tenor", "ked_diphone", "M", pitch=1.38, formant=1.07, range=1.3, stretch=0.93),
    Voice("festival-ked-female", "ked_diphone", "F", pitch=1.80, formant=1.18, range=1.6, stretch=0.98),
    Voice("festival-slt", "cmu_us_slt_arctic_hts", "F", pitch=1.06, formant=1.04, range=1.5),
    Voice("festival-slt-alto", "cmu_us_slt_arctic_hts", "F", pitch=0.80, formant=0.96, stretch=0.92),
    Voice("festival-slt-girl", "cmu_us_slt_arctic_hts", "F", pitch=1.55, formant=1.25, range=1.7, stretch=1.10),
    Voice("festival-slt-male", "cmu_us_slt_arctic_hts", "M", pitch=0.54, formant=0.88, range=1.4, stretch=1.05),
    Voice("language-cmn", "f1", "F", pitch=1.05),
    Voice("language-hi", "m4", "M", pitch=0.93, stretch=1.06),
    Voice("language-es", "f4", "F", pitch=0.94, stretch=0.94),
    Voice("language-fr-fr", "m6", "M", pitch=1.10, range=0.8),
    Voice("language-de", "linda", "F", pitch=0.90, range=1.3),
    Voice("language-ja", "steph2", "F", pitch=1.12, stretch=1.08),
    Voice("language-ar", "m8", "M", stretch=1.04),
    Voice("language-ru", "Denis", "M", pitch=0.96, range=1.2),
    Voice("language-pt", "Diogo", "M", pitch=1.06, range=1.4, stretch=0.94),
    Voice("language-tr", "Andrea", "F", pitch=1.04, stretch=0.96),
    Voice("language-ko", "aunty", "F", pitch=1.08, range=1.1),
    Voice("language-sw", "Marco", "M", pitch=0.90, range=1.2, stretch=1.10),
    Voice("language-vi", "steph3", "F", pitch=0.92, range=0.9),
    Voice("language-id", "travis", "M", pitch=1.18, stretch=0.92),
    Voice("language-el", "miguel", "M", pitch=0.86, range=1.5),
)  # fmt: skip
"""The synthetic speakers of the corpus: of English 34 from seven recorded voices and 20 of formant synthesisers, and
one of each of training.languages' languages, so that denoisers too hear more than English."""


ESPEAK_ENGINES = ("espeak", "language")
"""Engines that are espeak-ng."""


def by_name(name: str) -> Voice:
    """The synthetic speaker of that name; TalkerError if there is none."""
    for voice in VOICES:
        if voice.name == name:
            return voice
    raise TalkerError(f"There is no synthetic voice {name}: choose from {', '.join(v.name for v in VOICES)}.")


def flite(text: str, voice: str, stretch: float = 1.0) -> tuple[np.ndarray, list[Phone]]:
    """Speaks text: (n,) float32 at 16 kHz, and contiguous phones with the engine's own times.

    voice   : one of FLITE_VOICES
    stretch : factor on all durations
    Raises TalkerError if flite is not installed or says something other than phones.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-psdur"]
        try:
            done = subprocess.run(
                [*command, "-o", str(path), "-t", text], capture_output=True, text=True, check=True
            )
        except FileNotFoundError as error:
            raise TalkerError("flite is not installed: apt-get install flite.") from error
        except subprocess.CalledProcessError as error:
            raise TalkerError(f"flite could not speak with voice {voice}: {error.stderr.strip()}") from error
        samples, rate = soundfile.read(path, dtype="float32")
    if rate != SAMPLE_RATE:
        raise TalkerError(f"flite's voice {voice} speaks at {rate} Hz: use one of 16 kHz.")
    phones, time = [], 0.0
    for item in done.stdout.split():
        name, _, end = item.rpartition(":")
        label = _FLITE_PHONES.get(name, name.upper())
        if label not in PHONES:
            raise TalkerError(f"flite spoke the phone {name!r}, which is not in the ARPAbet.")
        phones.append(Phone(label, time, float(end)))
        time = float(end)
    return samples, contiguous(phones, len(samples) / SAMPLE_RATE)


def change_voice(samples: np.ndarray, pitch: float, range: float, formant: float) -> np.ndarray:
    """Another speaker's voice with every sound at its own time; (n,) float32 at 16 kHz.

    pitch   : factor on the fundamental frequency
    range   : factor on its excursions around the mean, in log frequency
    formant : factor on the frequencies of the spectral envelope
    """
    import pyworld

    signal = np.ascontiguousarray(samples, dtype=np.float64)
    f0, times = pyworld.dio(signal, SAMPLE_RATE, f0_floor=60.0, f0_ceil=450.0)
    f0 = pyworld.stonemask(signal, f0, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(signal, f0, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(signal, f0, times, SAMPLE_RATE)
    voiced = f0 > 0
    if voiced.any():
        centre = np.exp(np.log(f0[voiced]).mean())
        f0[voiced] = np.clip(centre * pitch * (f0[voiced] / centre) ** range, 50.0, 600.0)
    bins = envelope.shape[1]
    source = np.minimum(np.arange(bins) / formant, bins - 1)
    low = np.floor(source).astype(int)
    high = np.minimum(low + 1, bins - 1)
    share = source - low

    def warp(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((1 - share) * values[:, low] + share * values[:, high])

    # Envelopes are interpolated in the log domain: a mean of powers would fill the valleys.
    spoken = pyworld.synthesize(f0, np.exp(warp(np.log(envelope))), warp(aperiodicity), SAMPLE_RATE)
    spoken = np.pad(spoken[: len(samples)], (0, max(0, len(samples) - len(spoken))))
    return (spoken * min(1.0, 0.97 / max(np.abs(spoken).max(), 1e-9))).astype(np.float32)


def speak(voice: Voice, text: str) -> tuple[np.ndarray, list[Phone]]:
    """The voice's engine says the text: (n,) float32 at 16 kHz and contiguous phones (ARPAbet; of another language
    training.languages.as_arpabet).

    espeak-ng gives the voice's pitch and range itself; of the others `resynthesised` makes them.
    """
    if voice.engine in ESPEAK_ENGINES:
        # Its scales: 25 steps are 30 % of pitch, and 50 times the range.
        pitch, range = round(50 + 67 * np.log2(voice.pitch)), round(min(50 * voice.range, 100))
        rate = round(165 / voice.stretch)
        if voice.engine == "espeak":
            return espeak(text, voice.voice, rate, pitch, range)
        samples, phones = languages.say(text, voice.language, voice.voice, rate, pitch, range)
        return samples, languages.as_arpabet(phones)
    engine = {"flite": flite, "festival": festival}[voice.engine]
    return engine(text, voice.voice, voice.stretch)


def resynthesised(voice: Voice, samples: np.ndarray) -> np.ndarray:
    """What the voice's engine said, with the voice's pitch, range and formants; like samples."""
    if voice.engine in ESPEAK_ENGINES or (voice.pitch, voice.range, voice.formant) == (1.0, 1.0, 1.0):
        return samples
    return change_voice(samples, voice.pitch, voice.range, voice.formant)


def _texts(voice: Voice, number: int, seed: int) -> Iterator[str]:
    """Sentences without end in the voice's language, a function of voice, number and seed."""
    if voice.engine != "language":
        yield from sentences(voice.name, number, seed)
    random = generator("sentences", seed, voice.name, number)
    while True:
        yield languages.sentence(voice.language, random)


def utterance(
    voice: Voice, number: int, seed: int, shortest: float = 5.0, longest: float = 9.0
) -> tuple[np.ndarray, list[Phone], str]:
    """The voice's utterance `number` in the corpus of `seed`, always the same: samples, phones, text.

    Sentences are added until it lasts at least `shortest` seconds; one that would pass `longest` is
    tried again with the sentences that follow.
    """
    following = _texts(voice, number, seed)
    for _ in range(20):
        text, samples = "", np.zeros(0, np.float32)
        while len(samples) < shortest * SAMPLE_RATE:
            text = f"{text} {next(following)}".strip()
            samples, phones = speak(voice, text)
        if len(samples) <= longest * SAMPLE_RATE:
            break
    return resynthesised(voice, samples), phones, text
