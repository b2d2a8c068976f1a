"""Outputs that stock Ganga puts on mass storage from the session: put by the worker that fetched
them, by the commands of the session's configuration, as ``MassStorageFile.put`` runs them
(GPIDev/Lib/File/MassStorageFile.py:248, 8.7.12).

``extra`` of an order: ``puts``, absent or '' where there is nothing to put, else a JSON list, in
the order of the job's ``outputfiles``, of::

    {"number": 0,           its place among them
     "pattern": "*.root",   name or pattern in the output directory
     "path": "/eos/user",   directory on the storage, which is made in one that must be there
     "folder": "42/7",      directories below it, '' for none
     "name": "{fname}",     name there; ``{fname}`` is that of the file
     "ls": "eos ls", "mkdir": "eos mkdir", "cp": "eos cp"}

``OUTPUT/.gangamon-put.json``: what is done of it. A file is noted when it is there, and removed
from the output directory after that, as Ganga removes it; whoever is killed in between leaves the
rest to another, who puts only what is not noted. Where the storage refuses that then because it has
the file already, what it has is looked at: the same content is the same file::

    {"v": 1, "attempt": 1, "restart": 0, "left_out": [LINE, ...],
     "done": [[NUMBER, [[NAME, LOCATION], ...], whole], ...]}
"""

from __future__ import annotations

import filecmp
import glob
import io
import json
import os
import posixpath
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from shlex import quote

from gangamon.domain.observation import Put
from gangamon.errors import BadInput, PutFailed, PutRefused, StorageAway
from gangamon.fetchers import manifest
from gangamon.protocols import FetchOrder, Manifest, Placed

NAME = f"{manifest.OURS}put.json"

#: A shell command, in a process group that does not outlive us: its exit code (None: its time was
#: over) and the end of what it printed.
Run = Callable[[str], tuple[int | None, str]]

Slot = Callable[[str], AbstractContextManager[object]]

#: Characters of what a command that failed has printed: the last.
SAID = 500

_TEXTS = ("pattern", "path", "folder", "name", "ls", "mkdir", "cp")


@dataclass(frozen=True)
class Wanted:
    """One of the job's output files, see above."""

    number: int
    pattern: str
    path: str
    folder: str
    name: str
    ls: str
    mkdir: str
    cp: str


class Putting:
    """See ``protocols.Putter``. Commands run as the worker's user, with its environment."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._there: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def put(self, order: FetchOrder, fetch: Callable[[], Manifest], slot: Slot) -> Placed:
        """Raises what ``fetch`` does, PutFailed for what may be otherwise next time, PutRefused for
        what will not."""
        target = os.path.realpath(order.target)
        wanted = _wanted(order)
        if not wanted or not manifest.under(target, order.roots):
            return Placed(fetch())
        note = _Note.read(target, order)
        done = fetch() if note is None else Manifest(())
        try:
            if note is None:
                note = _Note(order, done.left_out)
                note.write(target)
            for one in wanted:
                if not note.has(one.number):
                    with slot(f"put:{one.path}"):
                        self._put(one, target, note)
                    note.end(one.number, target)
                _remove(target, one.pattern)
            found = manifest.listing(target, order.roots)
            made = manifest.write(target, order.fqid, order.attempt, found, left_out=note.left_out)
            return Placed(made, note.puts())
        except OSError as error:
            raise StorageAway(f"{error.filename or target}: {error.strerror}") from error

    def _put(self, one: Wanted, target: str, note: _Note) -> None:
        self._make(one, note)
        place = posixpath.join(one.path, one.folder) if one.folder else one.path
        known = {name for name, _ in note.files(one.number)}
        for source in _sources(target, one, note):
            name = os.path.basename(source)
            if name in known:
                continue
            location = posixpath.join(place, one.name.replace("{fname}", name))
            command = f"{one.cp} {quote(source)} {quote(location)}"
            code, said = self._run(command)
            if code != 0 and not self._has(one, location, source):
                raise self._failed(one, note, command, code, said)
            note.add(one.number, name, location, target)

    def _has(self, one: Wanted, location: str, source: str) -> bool:
        """Whether the storage has this very file: brought back by the same command, as Ganga's
        ``get`` does, and compared."""
        folder = tempfile.mkdtemp(prefix="gangamon-put-")
        try:
            back = os.path.join(folder, "back")
            code, _ = self._run(f"{one.cp} {quote(location)} {quote(back)}")
            return code == 0 and os.path.isfile(back) and filecmp.cmp(back, source, shallow=False)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _make(self, one: Wanted, note: _Note) -> None:
        """The directories. That above ``path`` must be there, as in Ganga."""
        key = (one.mkdir, one.path)
        with self._lock:
            there = key in self._there
        if not there:
            above = posixpath.dirname(one.path)
            command = f"{one.ls} {quote(above)}"
            code, said = self._run(command)
            if code != 0:
                raise self._failed(one, note, command, code, said)
            if posixpath.basename(one.path) not in _lines(said):
                self._directory(one, one.path, note)
            with self._lock:
                self._there.add(key)
        if one.folder:
            self._directory(one, posixpath.join(one.path, one.folder), note)

    def _directory(self, one: Wanted, path: str, note: _Note) -> None:
        command = f"{one.mkdir} -p {quote(path)}"
        code, said = self._run(command)
        if code == 0:
            return
        # Another job may have made it just now, and not every storage's -p bears that.
        listed, names = self._run(f"{one.ls} {quote(posixpath.dirname(path))}")
        if listed != 0 or posixpath.basename(path) not in _lines(names):
            raise self._failed(one, note, command, code, said)

    def _failed(
        self, one: Wanted, note: _Note, command: str, code: int | None, said: str
    ) -> PutFailed:
        how = "its time was over" if code is None else f"exit code {code}"
        reason = f"{command}: {' '.join(said.split())[-SAID:] or how}"
        return PutFailed(reason, note.puts(one.number, reason))


class _Note:
    """What of a job's puts is done."""

    def __init__(self, order: FetchOrder, left_out: tuple[str, ...]) -> None:
        self.left_out = left_out
        self._of = {"v": 1, "attempt": order.attempt, "restart": order.restart}
        self._files: dict[int, list[tuple[str, str]]] = {}
        self._ended: set[int] = set()

    @classmethod
    def read(cls, target: str, order: FetchOrder) -> _Note | None:
        try:
            with open(os.path.join(target, NAME), encoding="utf-8") as file:
                body = json.load(file)
            note = cls(order, tuple(map(str, body["left_out"])))
            if {key: body[key] for key in note._of} != note._of:
                return None
            for number, files, whole in body["done"]:
                note._files[int(number)] = [(str(name), str(place)) for name, place in files]
                if whole is True:
                    note._ended.add(int(number))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return note

    def write(self, target: str) -> None:
        done = [[n, files, n in self._ended] for n, files in sorted(self._files.items())]
        body = {**self._of, "left_out": self.left_out, "done": done}
        manifest.put(os.path.join(target, NAME), io.BytesIO(json.dumps(body).encode()))

    def has(self, number: int) -> bool:
        return number in self._ended

    def files(self, number: int) -> list[tuple[str, str]]:
        return self._files.get(number, [])

    def add(self, number: int, name: str, location: str, target: str) -> None:
        self._files.setdefault(number, []).append((name, location))
        self.write(target)

    def end(self, number: int, target: str) -> None:
        self._files.setdefault(number, [])
        self._ended.add(number)
        self.write(target)

    def puts(self, failed: int | None = None, reason: str = "") -> tuple[Put, ...]:
        """``failed``: the one that could not be put, for this ``reason``."""
        numbers = self._files.keys() | ({failed} if failed is not None else set())
        return tuple(
            Put(number, tuple(self.files(number)), reason if number == failed else "")
            for number in sorted(numbers)
        )


def _sources(target: str, one: Wanted, note: _Note) -> Iterator[str]:
    """What it stands for in the output directory. A pattern may stand for nothing, as in Ganga,
    which says so in its own way."""
    if glob.has_magic(one.pattern):
        yield from sorted(glob.glob(os.path.join(glob.escape(target), one.pattern)))
        return
    source = os.path.join(target, one.pattern)
    if not os.path.lexists(source):
        reason = f"{one.pattern}: not in the output directory"
        raise PutRefused(reason, note.puts(one.number, reason))
    yield source


def _remove(target: str, pattern: str) -> None:
    """As ``IGangaFile.cleanUpClient``: what is put is there no more. OSError."""
    for path in glob.glob(os.path.join(glob.escape(target), pattern)):
        if not os.path.basename(path).startswith(manifest.OURS):
            os.unlink(path)


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n")}


def _wanted(order: FetchOrder) -> list[Wanted]:
    text = order.extra.get("puts") or "[]"
    try:
        return [_one(body) for body in json.loads(str(text))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            [f"puts: got {str(text)[:200]!r}: {error}; accepted: see gangamon/fetchers/putting.py"]
        ) from error


def _one(body: Mapping[str, object]) -> Wanted:
    """ValueError, KeyError, TypeError."""
    texts = {name: body[name] for name in _TEXTS}
    number = body["number"]
    if type(number) is not int or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("a number and texts are wanted")
    one = Wanted(number, **texts)  # type: ignore[arg-type]
    if not one.pattern or "/" in one.pattern or one.pattern.startswith(manifest.OURS):
        raise ValueError(f"pattern {one.pattern!r}: a name in the output directory is wanted")
    if not one.path or ".." in one.folder.split("/") or "/" in one.name or not one.name:
        raise ValueError(f"{one.path!r}, {one.folder!r}, {one.name!r}: they stay below path")
    return one
