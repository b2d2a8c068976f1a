"""TextMerger: the files of the subjobs one after the other, each with a line above it.

The result is byte for byte that of Ganga 8.7.12 (Lib/Mergers/Merger.py) from the same inputs, the
time in its first line aside. Ganga reads and writes text: every ``\\r\\n`` and ``\\r`` of an input
becomes ``\\n``. It stops at bytes that are not in the session's encoding; here they are kept. It
raises TypeError for gzip, in and out; here an input whose name ends in ``.gz`` is decompressed,
and an output compressed if ``compress`` is set or its name ends so.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Protocol

from gangamon.errors import MergeFailed
from gangamon.postprocess import manifest
from gangamon.postprocess.plan import fingerprint, plan, refuse
from gangamon.protocols import Manifest, MergeOrder

_CHUNK = 1 << 20


class TextMerger:
    """Ganga's TextMerger, with bounded memory, and all or nothing: several outputs appear only
    when each of them is complete."""

    kind = "TextMerger"

    def run(self, order: MergeOrder) -> Manifest:
        """See PostProcessor. DiskFull if there is no room; nothing of the merge stays then.

        A second run from the same inputs changes nothing, also without ``overwrite``.
        """
        inputs = plan(order)
        source = fingerprint(inputs)
        noted = manifest.load(order.target, order.attempt, order.spec, source)
        kept = [f for f in noted.files if manifest.fits(order.target, f)] if noted else []
        done = {name for name, _, _ in kept}
        due = {n: of for n, of in _outputs(order, inputs).items() if n not in done}
        if noted is not None and not due:
            return noted
        refuse(order, {name: inputs[of] for name, of in due.items()})
        with manifest.disk(order.target):
            return _merge(order, source, inputs, due, kept)


def _outputs(order: MergeOrder, inputs: Mapping[str, list[str]]) -> dict[str, str]:
    """The name without ``.gz`` that Ganga would give, by the name of the output."""
    names: dict[str, str] = {}
    for of in inputs:
        name = f"{of}.gz" if order.spec.compress and not _is_gzip(of) else of
        if name in names:
            raise MergeFailed(f"Both {names[name]} and {of} would be merged into {name}.")
        names[name] = of
    return names


def _merge(
    order: MergeOrder,
    source: str,
    inputs: Mapping[str, list[str]],
    due: Mapping[str, str],
    kept: Sequence[tuple[str, int, str]],
) -> Manifest:
    paths = {name: os.path.join(order.target, name) for name in due}
    for directory in {order.target, *map(os.path.dirname, paths.values())}:
        os.makedirs(directory, exist_ok=True)
        manifest.sweep(directory)
    with ExitStack() as leftovers:
        hidden: dict[str, str] = {}
        made = list(kept)
        for name, of in due.items():
            hidden[name] = manifest.hidden(os.path.dirname(paths[name]))
            leftovers.callback(manifest.discard, hidden[name])
            try:
                with open(hidden[name], "xb") as file:
                    made.append((name, *_write(inputs[of], file, _is_gzip(name))))
                    manifest.settle(file)
            except MergeFailed as error:
                _summary(order, of, f"# -- Error in Merge -- #\n\t{error}\n")
                raise
        result = Manifest(tuple(sorted(made)))
        manifest.store(order.target, order.attempt, order.spec, source, result)
        for name, of in due.items():
            listed = "".join(f"{path}\n" for path in inputs[of])
            text = f"# -- List of files merged -- #\n{listed}# -- End of list -- #\n"
            # Before the output: where that stands, a second run leaves both alone.
            _summary(order, of, text)
            os.replace(hidden[name], paths[name])
    return result


def _summary(order: MergeOrder, of: str, text: str) -> None:
    path = os.path.join(order.target, f"{of}.merge_summary")
    manifest.put(path, os.fsencode(text))


def _write(paths: Sequence[str], file: IO[bytes], compress: bool) -> tuple[int, str]:
    """The merged text of the inputs; the bytes written and their checksum. MergeFailed if an
    input is no gzip file though its name says so."""
    sink = _Sink(file)
    # Without a name and a time in it: the same text gives the same bytes.
    out = gzip.GzipFile("", "wb", fileobj=sink, mtime=0) if compress else sink
    out.write(f"# Ganga TextMergeTool - {time.asctime()} #\n".encode())
    for path in paths:
        out.write(b"# Start of file %s #\n" % os.fsencode(path))
        try:
            with open(path, "rb") as plain:
                for chunk in translated(gzip.GzipFile(fileobj=plain) if _is_gzip(path) else plain):
                    out.write(chunk)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise MergeFailed(f"The input file {path} is not in gzip format: {error}") from error
        out.write(b"\n")
    out.write(b"# Ganga Merge Ended Successfully #\n")
    out.close()
    return sink.size, sink.digest.hexdigest()


def translated(file: _Readable) -> Iterator[bytes]:
    """The bytes of a file with line ends as in Python's text mode, some at a time."""
    held = b""
    while chunk := file.read(_CHUNK):
        chunk = held + chunk
        # Whether a \n follows, the next chunk will tell.
        held = b"\r" if chunk.endswith(b"\r") else b""
        chunk = chunk[: len(chunk) - len(held)]
        yield chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if held:
        yield b"\n"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Sink:
    """Counts and checksums what is written, as it is on disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.blake2b(digest_size=16)

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """As a GzipFile's, which leaves its file open too."""
        self.flush()


def _is_gzip(name: str) -> bool:
    return name.lower().endswith(".gz")
