"""Files of a folder or a zip archive, read one at a time within limits; nothing is ever unpacked to disk."""

from __future__ import annotations

import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from talker.errors import TalkerError

MAX_FILE = 256 * 2**20
"""Bytes of the one file a user gives; FLAME's model has 50 MB, ICT-FaceKit zipped 60."""

MAX_ENTRY = 64 * 2**20
"""Bytes of one file inside; an OBJ at the limit of vertices has 20 to 40 MB."""

MAX_READ = 512 * 2**20
"""Bytes of all files that are read, together; ICT-FaceKit's shapes have 140 MB."""

MAX_ENTRIES = 2000

MAX_RATIO = 100
"""How much larger an entry may be than its compressed bytes: OBJ text is 3 to 8 times, zeros 1000 times."""

MAX_DIRECTORY = 2**20
"""Bytes of a zip's list of entries, which is read whole: room for MAX_ENTRIES with long names."""

_END = b"PK\5\6"
_END_SIZE = 22
_PIECE = 2**18


class Files(ABC):
    """The files of a folder or zip: names (relative, with /) in order, and read(name)."""

    def __init__(self, label: str, names: Iterable[str]) -> None:
        self.label = label
        self.names = sorted(names)
        self._left = MAX_READ
        if len(self.names) > MAX_ENTRIES:
            raise TalkerError(f"{label} holds more than {MAX_ENTRIES} files; give only the face's own files.")

    def read(self, name: str) -> bytes:
        """All bytes of one file. Raises TalkerError beyond MAX_ENTRY of them, or MAX_READ with those read before."""
        pieces, size, limit = [], 0, self._limit(name)
        try:
            with self._open(name) as file:
                while piece := file.read(_PIECE):
                    size += len(piece)
                    self._left -= len(piece)
                    if size > limit:
                        raise _too_large(self.label, name)
                    if self._left < 0:
                        raise TalkerError(f"{self.label} holds more than {MAX_READ // 2**20} MB; give a smaller mesh.")
                    pieces.append(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise TalkerError(f"{self.label} is damaged at {_short(name)}; make it again.") from error
        return b"".join(pieces)

    @abstractmethod
    def _open(self, name: str) -> BinaryIO: ...

    def _limit(self, name: str) -> int:
        return MAX_ENTRY


class _Folder(Files):
    def __init__(self, folder: Path, suffix: str) -> None:
        self._paths = {path.name: path for path in folder.iterdir() if path.suffix.lower() == suffix and path.is_file()}
        super().__init__(folder.name, self._paths)

    def _open(self, name: str) -> BinaryIO:
        return self._paths[name].open("rb")


class _Zip(Files):
    def __init__(self, archive: zipfile.ZipFile, label: str, suffix: str) -> None:
        self._archive = archive
        self._entries = {}
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):  # C:
                raise TalkerError(f"{label} holds a file named to lie outside the archive; zip the face's folder again.")
            if entry.is_dir() or path.name.startswith("._") or path.suffix.lower() != suffix:
                continue
            _check_entry(entry, label)
            self._entries[str(path)] = entry
        super().__init__(label, self._entries)

    def _open(self, name: str) -> BinaryIO:
        return self._archive.open(self._entries[name])

    def _limit(self, name: str) -> int:
        """By what its compressed bytes can mean: the size in the header may be a lie."""
        return min(MAX_ENTRY, MAX_RATIO * self._entries[name].compress_size + _PIECE)


def open_folder(folder: Path, suffix: str) -> Files:
    """The files of a folder with a suffix such as ".obj", not those of folders inside it."""
    return _Folder(folder, suffix)


@contextmanager
def open_zip(path: Path, suffix: str) -> Iterator[Files]:
    """The files in a zip with a suffix such as ".obj", whatever folder they lie in.

    Raises TalkerError when it is no zip, damaged, encrypted, or larger than the limits above, by what its headers
    say or by what comes out of it, and when a name would lie outside the archive.
    """
    check_file(path)
    try:
        _check_directory(path)
        archive = zipfile.ZipFile(path)
    except TalkerError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise TalkerError(f"{path.name} is not a zip archive or is cut off; zip the face's folder again.") from error
    with archive:
        yield _Zip(archive, path.name, suffix)


def check_file(path: Path) -> None:
    """Refuse a file that is missing or too large to be a face."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size > MAX_FILE:
        raise TalkerError(f"{path.name} has {size / 2**20:.0f} MB; give a face of at most {MAX_FILE // 2**20} MB.")


def read_file(path: Path) -> bytes:
    """All bytes of a file after check_file."""
    check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> TalkerError:
    """The sentence for a file that the system will not open."""
    return TalkerError(f"{path} cannot be read ({error.strerror}); check the path of the face.")


def _check_directory(path: Path) -> None:
    """Refuse a list of entries too long to be read, from the zip's last record (APPNOTE 4.3.16)."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_SIZE - 65535 - 20))
        tail = file.read()
    at = len(tail) - _END_SIZE if tail[-_END_SIZE:].startswith(_END) and tail.endswith(b"\0\0") else tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise zipfile.BadZipFile("no end record")
    count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    has_zip64 = tail[max(0, at - 20) : at].startswith(b"PK\6\7")
    if count > MAX_ENTRIES or length > MAX_DIRECTORY or has_zip64:
        raise TalkerError(f"{path.name} lists more than {MAX_ENTRIES} files; give only the face's own files.")


def _check_entry(entry: zipfile.ZipInfo, label: str) -> None:
    if entry.flag_bits & 1:
        raise TalkerError(f"{label} is encrypted; zip the face's folder without a password.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise TalkerError(f"{label} is packed in an unusual way; zip the face's folder as plain zip.")
    if entry.file_size > MAX_ENTRY or entry.file_size > MAX_RATIO * entry.compress_size + _PIECE:
        raise _too_large(label, entry.filename)


def _too_large(label: str, name: str) -> TalkerError:
    return TalkerError(
        f"{label} holds {_short(name)}, which unpacks to more than a face needs; give files of at most "
        f"{MAX_ENTRY // 2**20} MB that compress at most {MAX_RATIO} times."
    )


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"…{name[-59:]}"
