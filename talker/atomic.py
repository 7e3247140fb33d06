"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from talker.errors import TalkerError


@contextmanager
def whole_file(path: str | Path, private: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Other readers see the old file or the whole new one; when the block raises, neither the
    temporary file nor a half-written `path` stays behind. The temporary name keeps the suffix,
    because writers such as PyAV and numpy choose the format by it. Missing folders are made.

    private : only the owner may read the file; otherwise it gets the usual mode

    Raises TalkerError when the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise TalkerError(f"Cannot write {path} ({error.strerror}); choose a folder that can be written.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if not private:  # mkstemp makes files that only their owner reads
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
