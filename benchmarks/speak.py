"""The whole command on ten seconds of speech: seconds by stage and peak memory.

    python -m benchmarks.speak [AUDIO] [--takes 4]

AUDIO is cut or repeated to the wanted length; without one, an example clip serves. Runs
`python -m talker speak` as a user would, in its own process, and prints JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from talker.audio import SAMPLE_RATE, load_speech

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audio", nargs="?", help="a recording (default: an example clip)")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--takes", type=int, default=4)
    args = parser.parse_args()
    source = args.audio or sorted((ROOT / "assets" / "examples").glob("*.flac"))[0]
    samples = np.resize(load_speech(source).samples, round(args.seconds * SAMPLE_RATE))
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        wavfile.write(wav, SAMPLE_RATE, samples)
        command = [sys.executable, "-m", "talker", "speak", wav, "--out", folder, "--takes", str(args.takes), "--quiet"]
        start = time.perf_counter()
        subprocess.run(list(map(str, command)), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - start
        report = json.loads((Path(folder) / "report.json").read_text())
    seconds = report["seconds"]
    result = {
        "speech_seconds": args.seconds,
        "takes": args.takes,
        "seconds": seconds,
        "encode_match_sample_seconds": seconds["encode"] + seconds["match"] + seconds["sample"],
        "whole_command_seconds": wall,
        "peak_memory_gigabytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
