"""ICT-FaceKit for users who are online: `python -m talker fetch-rig DIR`.

The pin is a git commit. Its id is a checksum of the whole tree: git computes the id of every object it receives, so
a file that differs in one byte from the pinned commit's has another id and is not accepted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

from render.rigs.names import arkit_name
from talker.errors import TalkerError

REPOSITORY = "https://github.com/USC-ICT/ICT-FaceKit.git"
COMMIT = "da5f95a607f5e6b37755b38d3385d7f2853732e5"
FOLDER = "FaceXModel"
NEUTRAL = "generic_neutral_mesh.obj"

PATIENCE = 1800.0
"""Seconds for one step of git; the files have about 140 MB, much less on the wire."""


def fetch_ict(directory: str | Path, repository: str = REPOSITORY, commit: str = COMMIT) -> Path:
    """Fetch the neutral and the ARKit shapes of ICT-FaceKit, and its licence, into a new folder, whole or not at all.

    directory : must not exist yet, or be empty
    Only these files are transferred where the server can filter (GitHub can). Raises TalkerError without git, without
    network, and when the server has not exactly this commit.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise TalkerError(f"{directory} exists already; choose a new folder.")
    if shutil.which("git") is None:
        raise TalkerError("git is not installed; install it, or download ICT-FaceKit and give its FaceXModel folder.")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise TalkerError(f"Cannot write {directory} ({error.strerror}); choose a folder that can be written.") from error
    try:
        clone, face = temporary / "clone", temporary / "face"
        wanted = _checked_out(clone, repository, commit)
        face.mkdir()
        for name in wanted:
            os.replace(clone / name, face / PurePosixPath(name).name)
        face.chmod(0o755)
        if directory.exists():
            directory.rmdir()
        os.replace(face, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return directory


def _checked_out(clone: Path, repository: str, commit: str) -> list[str]:
    """Fetch a commit, check out the files of the face, and give their names."""
    _git(None, "init", "--quiet", str(clone))
    _git(clone, "remote", "add", "origin", repository)
    settings = {"remote.origin.promisor": "true", "remote.origin.partialclonefilter": "blob:none",
                "fetch.fsckObjects": "true", "core.autocrlf": "false"}  # fmt: skip
    for key, value in settings.items():
        _git(clone, "config", key, value)
    _git(clone, "fetch", "--quiet", "--depth", "1", "--filter=blob:none", "origin", commit)
    names = _git(clone, "ls-tree", "-r", "--name-only", "-z", commit).split("\0")
    paths = [PurePosixPath(name) for name in names if name]
    face = [p for p in paths if p.parent.name == FOLDER and p.suffix == ".obj" and (p.name == NEUTRAL or arkit_name(p.stem))]
    if not any(path.name == NEUTRAL for path in face):
        raise TalkerError(f"{repository} has no {FOLDER}/{NEUTRAL} at {commit[:12]}; give the address of ICT-FaceKit.")
    wanted = [str(path) for path in face + [p for p in paths if p.name.startswith("LICENSE") and len(p.parts) == 1]]
    _git(clone, "checkout", "--quiet", commit, "--", *wanted)
    return wanted


def _git(folder: Path | None, *arguments: str) -> str:
    command = ["git", *(["-C", str(folder)] if folder else []), *arguments]
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    for key in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environment.pop(key, None)
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    except subprocess.TimeoutExpired as error:
        raise TalkerError("ICT-FaceKit takes too long to arrive; try again on a faster network.") from error
    if finished.returncode:
        reason = (finished.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        raise TalkerError(f"ICT-FaceKit could not be fetched ({reason}); check the network and try again.")
    return finished.stdout
