"""Synthetic voices whose phone times are known exactly.

flite prints the end of every phone it speaks (-psdur), espeak-ng's library reports them
(training.espeak). Further speakers come from WORLD analysis
and resynthesis (Morise et al., 2016): pitch, pitch range and vocal-tract length change, phone times
do not move.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from training.alignment import PHONES, SILENCE, Phone, contiguous
from training.articulation import generator
from training.espeak import espeak

FLITE_VOICES: dict[str, str] = {"slt": "F", "rms": "M", "awb": "M", "kal16": "M"}
"""flite's 16 kHz voices and the sex of the speaker each was recorded from."""

# flite's phone set is the ARPAbet in lower case with schwas and flaps of its own.
_FLITE_PHONES = {"ax": "AH", "axr": "ER", "ix": "IH", "dx": "D", "el": "L", "em": "M", "en": "N",
                 "nx": "N", "pau": SILENCE, "h#": SILENCE, "brth": SILENCE, "ssil": SILENCE}  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """A synthetic speaker.

    name    : "flite-slt-low": what its folder in the corpus is called
    voice   : flite's voice or espeak-ng's variant
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
        """What speaks: "flite" or "espeak"."""
        return self.name.split("-")[0]


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
)  # fmt: skip
"""The synthetic speakers of the corpus: 22 from four recorded voices and 8 of a formant
synthesiser."""

# A small grammar. Nouns, verbs and the rest were chosen so that all 39 phones are frequent and the
# lips have work: bilabials beside open vowels, labiodentals, rounded vowels after W, SH, CH, JH.
_ADJECTIVES = """old young brave proud shy warm cool thick thin smooth rough fresh pale bright famous
busy foggy wooden yellow purple awful clever usual foolish cheap huge gentle healthy jolly marvelous
peaceful vivid""".split()
_NOUNS = """boy mother father baby woman judge teacher farmer painter poet bishop fisherman captain
monkey puppy goose wolf fox bear zebra shepherd village bridge harbor mountain valley forest garden
window kitchen table lamp book paper map hammer shovel broom wheel ship boat train wagon piano violin
drum bell apple pepper mushroom cabbage butter cheese bread coffee pudding cherry peach plum beach
meadow river pool moon thunder shadow treasure measure vision television garage cushion fashion
machine judgement birthday toothbrush path month cloth feather weather brother jaw law moth cow house
mouth owl toy voice oyster coin noise joy earth bird church nurse shirt""".split()
_VERBS = """sees finds paints watches follows pushes pulls warms moves opens fixes brings chooses
leaves loves makes buys sells knows shows throws washes covers measures enjoys joins voices teaches
touches shapes polishes admires removes improves remembers mentions forgives believes describes
imagines""".split()
_ADVERBS = """slowly;quietly;often;always;probably;happily;twice;today;tomorrow;together;again;at home;
this morning;every Thursday;in the spring;before breakfast;without a word;with both thumbs;
as usual;for pleasure;by five o'clock;all by myself""".replace("\n", "").split(";")
_PREPOSITIONS = "near behind above below beside under with without beyond across".split()
_OPENERS = "Perhaps;However;Meanwhile;Five years ago;Early in June;In the long run;By and by".split(";")
_QUESTIONS = ("What happens if", "Do you believe that", "Would you mind if", "How is it that")


def sentence(random: np.random.Generator) -> str:
    """A grammatical sentence of 6 to 16 words that means little."""

    def pick(words):
        return words[int(random.integers(len(words)))]

    def phrase() -> str:
        adjective = f"{pick(_ADJECTIVES)} " if random.random() < 0.55 else ""
        return f"{pick(('the', 'the', 'my', 'your', 'her', 'this', 'that'))} {adjective}{pick(_NOUNS)}"

    clause = f"{phrase()} {pick(_VERBS)} {phrase()}"
    if random.random() < 0.5:
        clause += f" {pick(_PREPOSITIONS)} {phrase()}"
    if random.random() < 0.35:
        clause += f" {pick(_ADVERBS)}"
    shape = random.random()
    if shape < 0.15:
        return f"{pick(_QUESTIONS)} {clause}?"
    if shape < 0.30:
        return f"{pick(_OPENERS)}, {clause}."
    if shape < 0.42:
        return f"{clause}, and {phrase()} {pick(_VERBS)} {phrase()}."
    return f"{clause}."


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


def speak(
    voice: Voice, random: np.random.Generator, shortest: float = 5.0, longest: float = 9.0
) -> tuple[np.ndarray, list[Phone], str]:
    """One utterance of generated text: samples (n,) float32 at 16 kHz, contiguous phones, the text.

    Sentences are added until the utterance lasts at least `shortest` seconds; one that would pass
    `longest` is tried again with other words.
    """
    for _ in range(20):
        text = ""
        while True:
            text = f"{text} {sentence(random)}".strip()
            if voice.engine == "espeak":
                samples, phones = espeak(text, voice.voice, rate=round(165 / voice.stretch))
            else:
                samples, phones = flite(text, voice.voice, voice.stretch)
            if len(samples) >= shortest * SAMPLE_RATE:
                break
        if len(samples) <= longest * SAMPLE_RATE:
            break
    if (voice.pitch, voice.range, voice.formant) != (1.0, 1.0, 1.0):
        samples = change_voice(samples, voice.pitch, voice.range, voice.formant)
    return samples, phones, text


def utterance(voice: Voice, number: int, seed: int) -> tuple[np.ndarray, list[Phone], str]:
    """The voice's utterance `number` in the corpus of `seed`: always the same."""
    return speak(voice, generator("voice", seed, voice.name, number))
