"""Arrays out of a pickle without running any of its code.

A pickle is a program that may import and call anything. This reader knows only what numpy arrays, scipy's sparse
matrices and chumpy's wrappers are made of, and makes plain records of them with code of its own; no function and no
class that the file names is ever imported. Anything else is refused by its name.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from render.rigs.archive import MAX_FILE

MAX_READS = 200_000
"""Reads of the file, of which each instruction makes one or more; FLAME's model takes a few thousand."""

MAX_ELEMENTS = 16 * 2**20
"""Numbers in one array; FLAME's largest has 6 million."""


class RefusedPickle(Exception):
    """The pickle wants something else than arrays; its message names it."""


class _Record:
    """An instance of a class that is not imported: its state, as plain data."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dtype(_Record):
    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = code if isinstance(code, str) else "", "="

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]

    def dtype(self) -> np.dtype:
        if len(self.code) > 4 or self.code[:1] not in ("f", "i", "u", "b"):
            raise RefusedPickle(f"an array of type {self.code[:20]!r}")
        return np.dtype(self.code).newbyteorder(self.order)


class _Array(_Record):
    """What numpy's _reconstruct makes; its state is (version, shape, dtype, Fortran order, bytes)."""

    def array(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise RefusedPickle("an array without data")
        _, shape, kind, fortran, data = self.state
        if isinstance(data, str):
            data = data.encode("latin-1")  # bytes of Python 2
        whole = isinstance(shape, tuple) and len(shape) <= 4 and all(isinstance(n, int) and 0 <= n < 2**31 for n in shape)
        if not whole or not isinstance(kind, _Dtype) or not isinstance(data, bytes):
            raise RefusedPickle("an array of something else than numbers")
        dtype = kind.dtype()
        count = 1
        for n in shape:
            count *= n
        if count > MAX_ELEMENTS or count * dtype.itemsize != len(data):
            raise RefusedPickle("an array whose size is not that of its data")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _array(*_: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any = None, kind: Any = None, shape: Any = None, order: Any = "C", *_: Any) -> _Array:
    """How numpy writes arrays into protocol 5."""
    found = _Array()
    found.state = (1, shape, kind, order == "F", data)
    return found


def _reconstructor(kind: Any, *_: Any) -> _Record:
    return kind() if kind in _CLASSES else _Record()


def _scalar(kind: Any = None, data: Any = None, *_: Any) -> int | float:
    """What numpy makes of a single number."""
    if not isinstance(kind, _Dtype) or not isinstance(data, bytes | str):
        raise RefusedPickle("a number that is none")
    data, dtype = data.encode("latin-1") if isinstance(data, str) else data, kind.dtype()
    if len(data) != dtype.itemsize:
        raise RefusedPickle("a number of another size than its type")
    return np.frombuffer(data, dtype)[0].item()


def _encode(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    """How Python 3 writes bytes into protocols that have none."""
    if not isinstance(text, str):
        raise RefusedPickle("bytes that are no text")
    return text.encode("latin-1")


class _Chumpy(_Record):
    """chumpy.ch.Ch: an array that remembers how it was computed; its values are state["x"]."""


class _Sparse(_Record):
    """scipy.sparse's csc or csr matrix."""


class _Csr(_Sparse):
    pass


_ALLOWED: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("__builtin__", "object"): _Record,
    ("builtins", "object"): _Record,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy", "Ch"): _Chumpy,
} | {
    (f"scipy.sparse.{module}", f"{form}_{kind}"): _Csr if form == "csr" else _Sparse
    for form in ("csc", "csr")
    for module in (form, f"_{form}")
    for kind in ("matrix", "array")
}

_CLASSES = (_Record, _Array, _Dtype, _Chumpy, _Sparse, _Csr)
_CALLABLE = (*_CLASSES, _array, _frombuffer, _reconstructor, _scalar, _encode)


class _Counted(io.BytesIO):
    """A file that counts how often it is read: each instruction of a pickle reads at least once."""

    def __init__(self, content: bytes, limit: int) -> None:
        super().__init__(content)
        self._reads, self._limit = 0, limit

    def read(self, size: int | None = -1) -> bytes:
        self._reads += 1
        if self._reads > self._limit:
            raise RefusedPickle("more instructions than a model has")
        return super().read(size)


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler (not the C one, whose memo a file can make allocate gigabytes) with fewer instructions."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RefusedPickle(f"{module}.{name}"[:80]) from None

    dispatch = dict(pickle._Unpickler.dispatch)
    # Calls by other ways, buffers of any size, registries, sets.
    for _code in (
        pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID,
        pickle.BINPERSID, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET,
    ):  # fmt: skip
        del dispatch[_code[0]]

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def _call(self, what: Any, arguments: Any) -> Any:
        if not any(what is allowed for allowed in _CALLABLE) or not isinstance(arguments, tuple):
            raise RefusedPickle("a call of something else than an array")
        if what is _encode:
            self._encoded = getattr(self, "_encoded", 0) + len(arguments[0])
            if self._encoded > MAX_FILE:
                raise RefusedPickle("more bytes than a model has")
        return what(*arguments)

    def _check_keys(self, keys: list) -> None:
        """Hashing a tuple of tuples of the same tuple, and so on, would never end."""
        if not all(isinstance(key, str | int) for key in keys):
            raise RefusedPickle("a dictionary whose keys are not names")

    def load_dict(self) -> None:
        self._check_keys(self.stack[::2])  # the stack since the mark: key, value, key, value
        super().load_dict()

    dispatch[pickle.DICT[0]] = load_dict

    def load_setitem(self) -> None:
        self._check_keys([self.stack[-2]])
        super().load_setitem()

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Record):
            raise RefusedPickle("a state for something else than an array")
        self.stack[-1].__setstate__(state)

    dispatch[pickle.BUILD[0]] = load_build

    def load_frame(self) -> None:
        self.read(8)  # a frame is only a hint for reading ahead, which would hide instructions from the count

    dispatch[pickle.FRAME[0]] = load_frame

    # Python's own makes a bytearray as long as the file says before it reads; bytes are as long as what is there.
    dispatch[pickle.BYTEARRAY8[0]] = pickle._Unpickler.load_binbytes8


def load_plain(content: bytes, names: Collection[str]) -> dict[str, np.ndarray]:
    """Arrays of a pickled dictionary, those named: sparse matrices dense, chumpy's objects as their values.

    Raises RefusedPickle naming what is not an array, or saying how the pickle is broken.
    """
    with _refusing():
        loaded = _load(content, MAX_READS)
        return {name: array for name in names if (array := _plain(loaded.get(name))) is not None}


def load_tree(content: bytes, reads: int = MAX_READS) -> dict:
    """A pickled dictionary of arrays, numbers, texts, bytes and dictionaries of these.

    reads : see MAX_READS; a table of many frames needs more of them than a model
    Raises RefusedPickle as load_plain does, and where one dictionary is met twice.
    """
    with _refusing():
        return _tree(_load(content, reads), set())


def _tree(value: Any, met: set[int]) -> Any:
    if isinstance(value, dict):
        if id(value) in met:
            raise RefusedPickle("a dictionary in several places")
        met.add(id(value))
        return {key: _tree(item, met) for key, item in value.items()}
    if isinstance(value, int | float | str | bytes):
        return value
    if isinstance(value, _Array):
        return value.array()
    raise RefusedPickle("something else than arrays and numbers")


@contextmanager
def _refusing() -> Iterator[None]:
    """A broken pickle raises whatever its next instruction stumbles over."""
    try:
        yield
    except RefusedPickle:
        raise
    except Exception as error:
        raise RefusedPickle("something that cannot be read") from error


def _load(content: bytes, reads: int) -> dict:
    loaded = _Unpickler(_Counted(content, reads), encoding="latin1").load()
    if not isinstance(loaded, dict):
        raise RefusedPickle("no dictionary of arrays")
    return loaded


def _plain(value: Any) -> np.ndarray | None:
    if isinstance(value, _Array):
        return value.array()
    if isinstance(value, _Chumpy):
        inner = value.state.get("x") if isinstance(value.state, dict) else None
        return _plain(inner) if isinstance(inner, _Array) else None
    if isinstance(value, _Sparse) and isinstance(value.state, dict):
        return _dense(value)
    return None


def _dense(value: _Sparse) -> np.ndarray:
    """A csc or csr matrix as an array (n, m)."""
    state = value.state
    shape = state.get("_shape", state.get("shape"))
    data, indices, starts = (_plain(state.get(key)) for key in ("data", "indices", "indptr"))
    if any(part is None or part.ndim != 1 for part in (data, indices, starts)) or not isinstance(shape, tuple):
        raise RefusedPickle("a sparse matrix without data")
    rows, columns = (int(n) for n in shape)
    lines, across = (rows, columns) if isinstance(value, _Csr) else (columns, rows)
    if not 0 <= rows * columns <= MAX_ELEMENTS or min(rows, columns) < 0 or len(starts) != lines + 1:
        raise RefusedPickle("a sparse matrix of an impossible size")
    lengths = np.diff(starts.astype(np.int64))
    bad = (lengths < 0).any() or starts[0] != 0 or starts[-1] != len(data) or len(indices) != len(data)
    if bad or (len(indices) and not (0 <= indices.min() and indices.max() < across)):
        raise RefusedPickle("a sparse matrix that contradicts itself")
    dense = np.zeros((lines, across))
    np.add.at(dense, (np.repeat(np.arange(lines), lengths), indices.astype(np.int64)), data.astype(np.float64))
    return dense if isinstance(value, _Csr) else dense.T
