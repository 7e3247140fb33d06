"""Make the example clips that the app offers: three sentences of our own, said by free synthesisers.

    python assets/make_examples.py            writes assets/examples/*.flac

Needs Debian's flite and espeak-ng. The clips are committed, so that the app needs neither.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import soundfile

# Run as a script, Python looks for modules beside the script; the library is one folder up.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE, load_speech

FOLDER = Path(__file__).resolve().parent / "examples"


@dataclass(frozen=True)
class Clip:
    """A sentence and the command that says it; {text} and {wav} are filled in."""

    name: str
    command: tuple[str, ...]
    text: str


CLIPS = (
    Clip(
        "welcome",
        ("flite", "-voice", "slt", "-t", "{text}", "-o", "{wav}"),
        "Hello! My mouth follows your voice, but my eyebrows have a mind of their own.",
    ),
    Clip(
        "bumblebees",
        ("flite", "-voice", "rms", "-t", "{text}", "-o", "{wav}"),
        "Five big bumblebees moved past my window before breakfast.",
    ),
    Clip(
        "weather",
        ("espeak-ng", "-v", "en-gb", "-s", "150", "-w", "{wav}", "{text}"),
        "Who would have thought that the weather on Mars could be so very quiet?",
    ),
)


def make(clip: Clip, folder: Path = FOLDER) -> Path:
    """Say one clip and write it as a 16 kHz FLAC. Raises CalledProcessError when the voice fails."""
    with tempfile.TemporaryDirectory() as temporary:
        wav = str(Path(temporary) / "clip.wav")
        subprocess.run([part.format(text=clip.text, wav=wav) for part in clip.command], check=True)
        speech = load_speech(wav)
    path = folder / f"{clip.name}.flac"
    with whole_file(path) as unfinished:
        soundfile.write(unfinished, speech.samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return path


if __name__ == "__main__":
    for clip in CLIPS:
        path = make(clip)
        print(f"{path.relative_to(FOLDER.parent.parent)}  {load_speech(path).seconds:.1f} s")
