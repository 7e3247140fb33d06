"""Files of a corpus that cannot be used: named with the reason, left aside, and the rest goes on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from talker.errors import TalkerError

SHOWN = 40
"""Faults that are printed; the file of the report has all."""


@dataclass(frozen=True)
class Fault:
    """A file and why it is left aside."""

    file: Path
    reason: str


def report(faults: Sequence[Fault]) -> str:
    """One line per file, under a line that counts them."""
    count = "1 file" if len(faults) == 1 else f"{len(faults)} files"
    return "\n".join([f"{count} of the corpus left aside:", *(f"  {fault.file}: {fault.reason}" for fault in faults)])


def check_whole_wav(path: Path) -> None:
    """Raise TalkerError for a RIFF file that ends before its header says.

    Decoders play what is there of it, which would pair half a recording with the whole motion.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return  # another format under this name, or none: for the decoder to say
        size = path.stat().st_size
        while len(chunk := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", chunk)
            if name == b"data":
                # Recorders that stream leave 0 or the largest number here.
                if 0 < length < 0xFFFFFF00 and file.tell() + length > size:
                    raise TalkerError(
                        f"{path.name} is cut off: its header tells of {length} bytes of sound, {size - file.tell()} are "
                        "there; copy it again."
                    )
                return
            file.seek(length + length % 2, 1)
