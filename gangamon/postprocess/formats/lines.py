"""Text in which a line, or a row, is a record: put one behind the other, byte by byte."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import IO

from gangamon.errors import MergeFailed
from gangamon.postprocess import outputs
from gangamon.postprocess.segments import Segmented
from gangamon.protocols import MergeOrder

_CHUNK = 1 << 20

#: A file of Windows' programs may begin so: no part of the text.
_MARK = b"\xef\xbb\xbf"

#: Bytes of a line that is looked into for its end.
_LONGEST = 64 << 20


class JsonLinesMerger(Segmented):
    """One json value a line. The last line of each file must be whole: where a job was cut off in
    its middle, the merge fails and names the file."""

    kind = "JsonLinesMerger"
    extensions = ("jsonl", "ndjson")

    def make(self, order: MergeOrder) -> outputs.Make:
        """See Segmented."""
        return _json_lines


class CsvMerger(Segmented):
    """Rows. A first row without any number is a header: it must be the same in all files that are
    not empty, and stands once."""

    kind = "CsvMerger"
    extensions = ("csv",)

    def make(self, order: MergeOrder) -> outputs.Make:
        """See Segmented."""
        return _csv


def _json_lines(paths: Sequence[str], output: str) -> None:
    with open(output, "wb") as out:
        for path in paths:
            with open(path, "rb") as file:
                last = _last_line(file)
                try:
                    json.loads(last or b"0")
                except ValueError as error:
                    raise MergeFailed(f"The last line of {path} is no json: {error}.") from error
                file.seek(0)
                _rest(file, out)


def _csv(paths: Sequence[str], output: str) -> None:
    header: list[str] | None = None
    whose = ""
    with open(output, "wb") as out:
        for path in paths:
            with open(path, "rb") as file:
                first = _first_row(path, file)
                if first is None:
                    continue
                if header is None:
                    header, whose = first, path
                elif _is_header(header) or _is_header(first):
                    if first != header:
                        raise MergeFailed(
                            f"The first row of {path} is {first!r}, that of {whose} is {header!r}: "
                            "a header must be the same in all files."
                        )
                    _rest(file, out)
                    continue
                file.seek(len(_MARK) if _marked(file) else 0)
                _rest(file, out)


def _first_row(path: str, file: IO[bytes]) -> list[str] | None:
    """The file stands behind it then. None: an empty file."""
    if not _marked(file):
        file.seek(0)
    try:
        return next(csv.reader(_lines(file)), None)
    except csv.Error as error:
        raise MergeFailed(f"The first row of {path} cannot be read: {error}.") from error


def _marked(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(len(_MARK)) == _MARK


def _lines(file: IO[bytes]) -> Iterator[str]:
    """As many as the reader wants, which are those of the row."""
    while line := file.readline(_LONGEST):
        yield line.decode("utf-8", "surrogateescape")


def _is_header(row: Sequence[str]) -> bool:
    return not any(map(_is_number, row))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _last_line(file: IO[bytes]) -> bytes:
    """The last that is not blank."""
    end = file.seek(0, os.SEEK_END)
    size = 4096
    while True:
        start = max(0, end - size)
        file.seek(start)
        text = file.read(end - start).rstrip()
        at = text.rfind(b"\n")
        if at >= 0 or start == 0:
            return text[at + 1 :]
        size *= 4


def _rest(file: IO[bytes], out: IO[bytes]) -> None:
    """From where it stands, with a line end behind it."""
    begin = file.tell()
    shutil.copyfileobj(file, out, _CHUNK)
    if file.tell() > begin:
        file.seek(-1, os.SEEK_CUR)
        if file.read(1) not in (b"\n", b"\r"):
            out.write(b"\n")
