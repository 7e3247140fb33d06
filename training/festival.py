"""festival's voices with the phone times that its synthesiser writes (utt.save.segs).

Two diphone voices and one of hidden Markov models (Debian: festvox-kallpc16k, festvox-kdlpc16k,
festvox-us-slt-hts). One festival process serves all utterances of a process of ours: its voices take
seconds to load on a busy machine. It ends when its input does, so with its owner, however that ends.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from training.alignment import PHONES, SILENCE, VOWELS, Phone, contiguous

FESTIVAL_VOICES: dict[str, str] = {"kal_diphone": "M", "ked_diphone": "M", "cmu_us_slt_arctic_hts": "F"}
"""festival's voices and the sex of the speaker each was recorded from."""

# The radio phone set is the ARPAbet in lower case with schwas and flaps of its own.
_RADIO_PHONES = {"ax": "AH", "axr": "ER", "ix": "IH", "dx": "D", "el": "L", "em": "M", "en": "N", "nx": "N",
                 "pau": SILENCE, "h#": SILENCE, "brth": SILENCE, "ssil": SILENCE, "hv": "HH"}  # fmt: skip

class _Festival:
    """A running festival that reads commands from a pipe."""

    def __init__(self) -> None:
        try:
            self.process = subprocess.Popen(
                ["festival", "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise TalkerError("festival is not installed: apt-get install festival.") from error

    def run(self, commands: str) -> bool:
        """Whether the commands went through. An error breaks off the expression that it is in."""
        try:
            self.process.stdin.write(
                f"(set! finished nil)\n(begin {commands} (set! finished t))\n"
                f'(format t "\\n%s\\n" (if finished "{_DONE}" "{_BROKEN}"))\n(fflush nil)\n'
            )
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        ends = (line.strip() for line in iter(self.process.stdout.readline, ""))
        return next((line for line in ends if line in (_DONE, _BROKEN)), _BROKEN) == _DONE

    def close(self) -> None:
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


_DONE, _BROKEN = "talker-done", "talker-broken"
_RUNNING: list[_Festival] = []


def _commands(text: str, voice: str, stretch: float, wav: Path, segments: Path) -> str:
    quoted = text.encode("ascii", "replace").decode().replace("\\", " ").replace('"', " ")
    # The voice of hidden Markov models has its own durations and takes their rate.
    faster = "(set! hts_engine_params (append hts_engine_params '((\"-r\" %.4f))))" % (1.0 / stretch)
    slower = f"(Parameter.set 'Duration_Stretch {stretch:.4f})"
    return (
        f"(voice_{voice})\n{faster if voice.endswith('_hts') else slower}\n"
        f'(set! spoken (Utterance Text "{quoted}"))\n(utt.synth spoken)\n'
        f'(utt.save.wave spoken "{wav}")\n(utt.save.segs spoken "{segments}")\n'
    )


def festival(text: str, voice: str, stretch: float = 1.0) -> tuple[np.ndarray, list[Phone]]:
    """Speaks text: (n,) float32 at 16 kHz, and contiguous phones with the engine's own times.

    voice   : one of FESTIVAL_VOICES
    stretch : factor on the durations of sounds
    Raises TalkerError if festival or the voice is not installed or a phone is none of the ARPAbet.
    """
    if voice not in FESTIVAL_VOICES:
        raise TalkerError(f"{voice} is no festival voice known here: choose from {', '.join(FESTIVAL_VOICES)}.")
    if not _RUNNING:
        _RUNNING.append(_Festival())
    with tempfile.TemporaryDirectory() as folder:
        wav, segments = Path(folder) / "speech.wav", Path(folder) / "phones.lab"
        if not _RUNNING[0].run(_commands(text, voice, stretch, wav, segments)):
            _RUNNING.pop().close()
            raise TalkerError(f"festival could not speak with voice {voice}: install the voice's Debian package.")
        samples, rate = soundfile.read(wav, dtype="float32")
        rows = [line.split() for line in segments.read_text().splitlines()]
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE).astype(np.float32)
    samples = samples * (0.9 / max(float(np.abs(samples).max(initial=0.0)), 1e-6))
    phones, time = [], 0.0
    for end, _, name in (row for row in rows if len(row) == 3):
        label = _RADIO_PHONES.get(name, name.upper())
        if label not in PHONES:
            raise TalkerError(f"festival spoke the phone {name!r}, which is not in the ARPAbet.")
        phones.append(Phone(label, time, float(end)))
        time = float(end)
    return samples, contiguous(_one_rhotic(phones), len(samples) / SAMPLE_RATE)


def _one_rhotic(phones: list[Phone]) -> list[Phone]:
    """Joins ER and the R that one voice's dictionary writes after it, unless a vowel takes the R."""
    out: list[Phone] = []
    for phone, following in zip(phones, [*phones[1:], None], strict=True):
        coloured = bool(out) and out[-1].label == "ER" and phone.label == "R"
        if coloured and (following is None or following.label not in VOWELS):
            out[-1] = Phone("ER", out[-1].start, phone.end)
        else:
            out.append(phone)
    return out
