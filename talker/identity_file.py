"""The file of enrolled identities: safetensors with a JSON header, in the user's data folder.

One tensor of voices per identity, one of the embedding where motion made it, and a header with the
format's version, names and fingerprints. The file is replaced in one rename, and changed under a
lock, so that a reader sees a whole one and two processes that enrol at once both keep what they added.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from talker.atomic import whole_file
from talker.errors import TalkerError
from talker.identity import EnrolledIdentity

VERSION = 1
"""Of the file's format; a file of a later one is refused."""

VARIABLE = "TALKER_IDENTITIES"
"""Environment variable that names the file."""

LOCK_SECONDS = 30.0
"""Longest wait for another process that is changing the file."""


def identity_file() -> Path:
    """Where enrolled identities are kept: $TALKER_IDENTITIES, else talker/identities.safetensors in the
    user's data folder ($XDG_DATA_HOME, by default ~/.local/share)."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "talker" / "identities.safetensors"


def read_identities(path: str | Path | None = None) -> dict[str, EnrolledIdentity]:
    """All identities of the file by name, in the order of enrolment; none where there is no file.

    path : identity_file() unless given
    Raises TalkerError for a file that is broken or of a later version.
    """
    path = Path(path or identity_file())
    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads(file.metadata()["identities"])
            if header["version"] > VERSION:
                raise TalkerError(
                    f"The identities in {path} are of a later version of Talker; update it, or choose another file "
                    f"with {VARIABLE}."
                )
            found = [
                EnrolledIdentity(
                    name=str(entry["name"]),
                    voices=_finite(file.get_tensor(f"{row}.voices"), 2),
                    encoder=str(entry["encoder"]),
                    embedding=_finite(file.get_tensor(f"{row}.embedding"), 1) if entry["checkpoint"] else None,
                    checkpoint=str(entry["checkpoint"]),
                    model=str(entry["model"]),
                )
                for row, entry in enumerate(header["entries"])
            ]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, TalkerError):
            raise
        raise TalkerError(
            f"The identities in {path} cannot be read ({error}); restore the file, or delete it and enrol again."
        ) from None
    return {identity.name: identity for identity in found}


def add_identity(identity: EnrolledIdentity, path: str | Path | None = None) -> Path:
    """Add one identity to the file, which is made if missing; returns its path.

    Raises TalkerError when the name is taken or the file cannot be written.
    """
    with _changing(path) as (path, identities):
        if identity.name in identities:
            raise TalkerError(taken(identity.name))
        identities[identity.name] = identity
    return path


def remove_identity(name: str, path: str | Path | None = None) -> Path:
    """Remove one identity from the file; returns its path. Raises TalkerError when it is not in it."""
    with _changing(path) as (path, identities):
        if name not in identities:
            raise TalkerError(
                f"There is no enrolled identity “{name}” in {path}; “python -m talker identities --enrolled” lists them, "
                "and those that a model learned cannot be removed."
            )
        del identities[name]
    return path


def taken(name: str) -> str:
    """The sentence about a name that was enrolled before."""
    return f"“{name}” is enrolled already; choose another name, or forget that one first."


@contextmanager
def _changing(path: str | Path | None) -> Iterator[tuple[Path, dict[str, EnrolledIdentity]]]:
    """The file's identities under its lock; what the block leaves of them is written."""
    path = Path(path or identity_file())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS)
        lock.acquire()
    except Timeout:
        raise TalkerError(f"Another process keeps {path} locked; wait until it is done and try again.") from None
    except OSError as error:
        raise TalkerError(f"Cannot write {path} ({error.strerror}); choose another file with {VARIABLE}.") from error
    try:
        identities = read_identities(path)
        yield path, identities
        _write(identities, path)
    finally:
        lock.release()


def _write(identities: dict[str, EnrolledIdentity], path: Path) -> None:
    tensors, entries = {}, []
    for row, identity in enumerate(identities.values()):
        tensors[f"{row}.voices"] = np.ascontiguousarray(identity.voices, dtype=np.float32)
        if identity.embedding is not None:
            tensors[f"{row}.embedding"] = np.ascontiguousarray(identity.embedding, dtype=np.float32)
        about = {key: getattr(identity, key) for key in ("name", "encoder", "checkpoint", "model")}
        entries.append(about | {"recordings": len(identity.voices)})
    header = json.dumps({"version": VERSION, "entries": entries}, ensure_ascii=False)
    with whole_file(path, private=True) as temporary:  # voices are personal
        save_file(tensors, temporary, metadata={"identities": header})
        temporary.chmod(0o600)  # some versions of safetensors write into a new file of the usual mode


def _finite(values: np.ndarray, dimensions: int) -> np.ndarray:
    if values.ndim != dimensions or not len(values) or not np.isfinite(values).all():
        raise ValueError("it holds values that are not numbers")
    return values
