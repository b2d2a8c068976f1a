"""numpy's files: arrays one behind the other along their first axis."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import IO, Any

from gangamon.errors import MergeFailed
from gangamon.postprocess import outputs
from gangamon.postprocess.segments import Segmented
from gangamon.protocols import MergeOrder


def library(name: str, what: str) -> Any:
    """MergeFailed if it is not installed: Ganga has no merger for this."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MergeFailed(
            f"{what} need the extra `formats` of gangamon ({name}) in the worker's environment."
        ) from error


class NumpyMerger(Segmented):
    """``.npy``: one array. ``.npz``: arrays by name, the same names in all files. Types and all
    axes but the first must be the same. One array of one file is in memory. Nothing is unpickled:
    arrays of Python objects are refused."""

    kind = "NumpyMerger"
    extensions = ("npy", "npz")

    def make(self, order: MergeOrder) -> outputs.Make:
        """See Segmented."""
        return _merge


def _merge(paths: Sequence[str], output: str) -> None:
    library("numpy", "numpy's files")
    if not output.lower().endswith(".npz"):
        with open(output, "wb") as out:
            _joined([(path, _opener(path)) for path in paths], out)
        return
    names = _names(paths[0])
    for path in paths:
        if sorted(_names(path)) != sorted(names):
            raise MergeFailed(f"The arrays of {path} are {_names(path)}, of {paths[0]} {names}.")
    kind = _kind(paths[0])
    with zipfile.ZipFile(output, "w", kind) as archive:
        for name in names:
            parts = [(f"{name} of {path}", _member(path, name)) for path in paths]
            with archive.open(name, "w", force_zip64=True) as out:
                _joined(parts, out)


def _opener(path: str) -> Callable[[], IO[bytes]]:
    return lambda: open(path, "rb")


def _member(path: str, name: str) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:  # the member holds the file open
            return archive.open(name)

    return opened


def _names(path: str) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile as error:
        raise MergeFailed(f"The input {path} is no npz file: {error}.") from error


def _kind(path: str) -> int:
    with zipfile.ZipFile(path) as archive:
        return max([entry.compress_type for entry in archive.infolist()], default=0)


def _joined(parts: Sequence[tuple[str, Callable[[], IO[bytes]]]], out: IO[bytes]) -> None:
    """The heads are read first: nothing is written of what does not fit together."""
    import numpy

    heads = [_read(what, opened, _head) for what, opened in parts]
    rows = 0
    for (what, _), (shape, kind) in zip(parts, heads, strict=True):
        if kind.hasobject:
            raise MergeFailed(f"The array in {what} holds Python objects, which are not unpickled.")
        if not shape:
            raise MergeFailed(f"The array in {what} has no axis to merge along.")
        if (shape[1:], kind) != (heads[0][0][1:], heads[0][1]):
            raise MergeFailed(
                f"The array in {what} is {kind.str}{list(shape)}, that in {parts[0][0]} "
                f"{heads[0][1].str}{list(heads[0][0])}: type and all axes but the first must be "
                "the same."
            )
        rows += shape[0]
    kind = heads[0][1]
    described = numpy.lib.format.dtype_to_descr(kind)
    head = {"descr": described, "fortran_order": False, "shape": (rows, *heads[0][0][1:])}
    numpy.lib.format.write_array_header_2_0(out, head)
    for what, opened in parts:
        array = _read(what, opened, lambda file: numpy.lib.format.read_array(file))
        out.write(numpy.ascontiguousarray(array).tobytes())


def _read(what: str, opened: Callable[[], IO[bytes]], read: Callable[[IO[bytes]], Any]) -> Any:
    try:
        with opened() as file:
            return read(file)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise MergeFailed(f"The array in {what} cannot be read: {error}.") from error


def _head(file: IO[bytes]) -> tuple[tuple[int, ...], Any]:
    """(shape, dtype)."""
    from numpy.lib import format as form

    version = form.read_magic(file)
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, _, kind = read(file)
    return shape, kind
