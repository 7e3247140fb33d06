"""espeak-ng's voices with the phone times that its library reports (libespeak-ng.so.1)."""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr

from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from training.alignment import PHONES, SILENCE, VOWELS, Phone, contiguous, level_db

# From speak_lib.h of espeak-ng 1.51.
_SYNCHRONOUS, _PHONEME_EVENTS = 2, 1
_EVENT_END, _EVENT_PHONEME = 0, 7
_CHARS_UTF8, _PHONEMES, _POS_CHARACTER = 1, 0x100, 1
_RATE_PARAMETER, _PITCH_PARAMETER, _RANGE_PARAMETER = 1, 3, 4


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)

# espeak's mnemonics of its American English in ARPAbet; two symbols share the time.
_ARPABET = {
    "@": "AH", "@2": "AH", "@5": "UH", "a#": "AH", "V": "AH", "VR": "AH R", "3": "ER", "3:": "ER",
    "@L": "AH L", "I": "IH", "I2": "IH", "I#": "IH", "i": "IY", "i:": "IY", "E": "EH", "E2": "EH",
    "e": "EH", "a": "AE", "aa": "AE", "A:": "AA", "A": "AA", "A@": "AA R", "A~": "AA N", "0": "AA",
    "0#": "AA", "O": "AO", "O2": "AO", "O:": "AO", "O@": "AO R", "o@": "AO R", "U": "UH", "u:": "UW",
    "u": "UW", "U@": "UH R", "eI": "EY", "aI": "AY", "OI": "OY", "aU": "AW", "oU": "OW", "oU#": "OW",
    "aI@": "AY AH", "aI3": "AY ER", "aU@": "AW ER", "i@": "IY AH", "i@3": "IH R", "e@": "EH R",
    "p": "P", "b": "B", "t": "T", "t#": "D", "t2": "T", "d": "D", "d#": "D", "k": "K", "g": "G",
    "tS": "CH", "dZ": "JH", "f": "F", "v": "V", "T": "TH", "D": "DH", "s": "S", "z": "Z", "z#": "Z",
    "S": "SH", "Z": "ZH", "h": "HH", "m": "M", "n": "N", "n-": "N", "m-": "M", "N": "NG", "l": "L",
    "l#": "L", "r": "R", "r-": "R", "w": "W", "w#": "W", "j": "Y", "?": SILENCE, ";": "Y",
    "@-": "AH", "x": "K",
}  # fmt: skip

PADDING = 0.2
"""Seconds of silence before and after the speech."""

_STOPS = frozenset("P B T D K G CH JH".split())


class _Engine:
    """The library, loaded afresh for one utterance.

    It keeps the phase of its voice and of its noise from one utterance to the next, so that sounds
    would depend on what the process has said before. Loading takes a hundredth of a second.
    """

    def __enter__(self) -> _Engine:
        try:
            self.library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise TalkerError("espeak-ng is not installed: apt-get install espeak-ng.") from error
        self.rate = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
        if self.rate <= 0:
            raise TalkerError("espeak-ng found no voice data: apt-get install espeak-ng-data.")
        self.library.espeak_Info.restype = ctypes.c_char_p
        folder = ctypes.c_char_p()
        self.library.espeak_Info(ctypes.byref(folder))
        self.data = Path((folder.value or b"").decode())
        self.sound: list[np.ndarray] = []
        self.events: list[tuple[int, str]] = []
        # The callback is kept in an attribute: the library holds only its address.
        self.callback = _CALLBACK(self._receive)
        self.library.espeak_SetSynthCallback(self.callback)
        # Its noise comes from the C library's generator.
        ctypes.CDLL(None).srand(1)
        return self

    def __exit__(self, *_: object) -> None:
        self.library.espeak_Terminate()
        _ctypes.dlclose(self.library._handle)

    def _receive(self, wave, count: int, events) -> int:
        if wave and count > 0:
            self.sound.append(np.ctypeslib.as_array(wave, (count,)).copy())
        k = 0
        while events[k].type != _EVENT_END:
            if events[k].type == _EVENT_PHONEME:
                name = bytes(events[k].id.string).split(b"\0")[0].decode()
                self.events.append((events[k].sample, name))
            k += 1
        return 0


def spoken(
    text: str, language: str, variant: str, rate: int, pitch: int, range: int
) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """Speaks text: (n,) float32 at 16 kHz and (start, end, mnemonic) of every sound in seconds.

    text              : in the language's script; between [[ and ]] in espeak-ng's mnemonics, parted by |
    language, variant : espeak-ng's names of a voice and of a way to speak it, such as "en-us" and "f2"
    rate              : words a minute; pitch and range 0 … 100, 50 is the variant's own

    Mnemonics of pauses begin with "_". Raises TalkerError without espeak-ng, the voice or the variant.
    """
    with _Engine() as engine:
        # The library takes an unknown variant for none, without a word.
        known = (engine.data / "voices" / "!v" / variant).is_file()
        if not known or engine.library.espeak_SetVoiceByName(f"{language}+{variant}".encode()) != 0:
            raise TalkerError(
                f"espeak-ng has no voice variant {variant} of {language}: "
                "see espeak-ng --voices and espeak-ng --voices=variant."
            )
        for parameter, value in ((_RATE_PARAMETER, rate), (_PITCH_PARAMETER, pitch), (_RANGE_PARAMETER, range)):
            engine.library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        engine.library.espeak_Synth(data, len(data) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8 | _PHONEMES, None, None)
    sound = np.concatenate(engine.sound).astype(np.float32) / 32768.0
    samples = soxr.resample(sound, engine.rate, SAMPLE_RATE).astype(np.float32)
    samples *= 0.9 / max(float(np.abs(samples).max()), 1e-6)
    # The first sound comes at once; a face needs a moment at rest before it, and after the last.
    samples = np.pad(samples, int(PADDING * SAMPLE_RATE))
    starts = [(at / engine.rate + PADDING, name) for at, name in engine.events]
    ends = [start for start, _ in starts[1:]] + [len(samples) / SAMPLE_RATE - PADDING]
    return samples, [(start, end, name) for (start, name), end in zip(starts, ends, strict=True)]


def espeak(
    text: str, variant: str, rate: int = 165, pitch: int = 50, range: int = 50
) -> tuple[np.ndarray, list[Phone]]:
    """Speaks text in American English: (n,) float32 at 16 kHz and contiguous phones.

    Arguments and errors are those of spoken(). espeak reports a stop at its burst; the closure before
    it is found in the sound and counted to the stop, as flite and forced alignment do.
    """
    samples, sounds = spoken(text, "en-us", variant, rate, pitch, range)
    phones: list[Phone] = []
    for start, end, name in sounds:
        labels = [SILENCE] if name.startswith("_") else _ARPABET.get(name, name).split()
        if any(label not in PHONES for label in labels):
            raise TalkerError(f"espeak-ng spoke the phone {name!r}, which has no ARPAbet name here.")
        # Of a vowel with a coloured end the vowel has two thirds.
        bounds = [start, end] if len(labels) == 1 else [start, start + 0.65 * (end - start), end]
        phones += [Phone(label, a, b) for label, a, b in zip(labels, bounds, bounds[1:], strict=False)]
    closed = with_closures(phones, samples, _STOPS.__contains__, VOWELS.__contains__)
    return samples, contiguous(closed, len(samples) / SAMPLE_RATE)


def with_closures(
    phones: list[Phone], samples: np.ndarray, is_stop: Callable[[str], bool], is_vowel: Callable[[str], bool]
) -> list[Phone]:
    """Starts every stop where the sound before it falls 14 dB below its neighbour, up to 80 ms back.

    phones : labelled in any alphabet, of which is_stop and is_vowel tell the classes
    """
    level = level_db(samples)
    out: list[Phone] = []
    for phone in phones:
        previous = out[-1] if out else None
        # A pause stays a pause; 30 ms of it can be the closure.
        if is_stop(phone.label) and previous is not None:
            first, last = int(previous.start * 100), int(phone.start * 100)
            if previous.label == SILENCE:
                back = min(0.03, 0.5 * (previous.end - previous.start))
            else:
                quiet = level[first:last] < level[first : last + 1].max() - 14.0
                back = int(np.argmin(quiet[::-1])) / 100 if len(quiet) and not quiet.all() else 0.0
                limit = 0.5 if is_vowel(previous.label) else 0.35
                back = min(back, 0.08, limit * (previous.end - previous.start))
            start = phone.start - back
            out[-1] = Phone(previous.label, previous.start, start)
            phone = Phone(phone.label, start, phone.end)
        out.append(phone)
    return out
