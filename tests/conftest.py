"""Fixtures that tests of all packages share."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Tests never leave the machine; set before gradio or transformers are imported by any test.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Nor do they see or change the identities that a user has enrolled.
os.environ["TALKER_IDENTITIES"] = str(Path(tempfile.gettempdir()) / f"talker-tests-{os.getpid()}" / "identities.safetensors")


@pytest.fixture(scope="session")
def speech_folder() -> Path:
    """Folder of real recordings named {speaker}-{chapter}-{utterance}.flac, or the test is skipped.

    TALKER_SPEECH names it; without it, ../shared/speech/librispeech beside the checkout is tried.
    """
    folder = Path(os.environ.get("TALKER_SPEECH") or ROOT.parent / "shared" / "speech" / "librispeech")
    if not any(folder.glob("*.flac")):
        pytest.skip(f"no real speech in {folder}; set TALKER_SPEECH to a folder of LibriSpeech flac files")
    return folder


@pytest.fixture(scope="session")
def example_clip() -> Path:
    """The shortest of the example clips that the app offers."""
    return min((ROOT / "assets" / "examples").glob("*.flac"), key=lambda path: path.stat().st_size)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240531)


@pytest.fixture(scope="session")
def ict_folder(tmp_path_factory) -> Path:
    """ICT-FaceKit as its folder of OBJs, or the test is skipped: made from ../shared/rigs beside the checkout."""
    script = ROOT.parent / "shared" / "rigs" / "unpack_ict.py"
    if not script.exists():
        pytest.skip(f"no ICT-FaceKit in {script.parent}")
    folder = tmp_path_factory.mktemp("ict") / "ICT-FaceKit"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder
