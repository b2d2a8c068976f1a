"""A flush of a split job that holds no lock for longer than one of its files takes.

Ganga's holds the root lock of the job while it writes each changed subjob (twice, if they were
loaded from disk), and makes the index of all subjobs anew, four times over (Registry.py:521,
GangaRepositoryXML.py:703-800, 8.7.12); every read of an attribute waits for that lock
(Objects.py:262). Here the lock is held to turn one subjob into text, and what is written
afterwards, file by file, is the same.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

from GangaCore.Core.GangaRepository.GangaRepositoryXML import check_app_hash
from GangaCore.Core.GangaRepository.PickleStreamer import to_file as pickle_to_file
from GangaCore.GPIDev.Base.Objects import Node
from GangaCore.GPIDev.Base.Proxy import getName, stripProxy
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.repository.backlog import current
from gangamon.adapter.repository.files import replace, replace_in_new_directory
from gangamon.adapter.repository.index import SubjobIndex
from gangamon.adapter.repository.streamer import xml

logger = getLogger("gangamon")

#: Seconds of rest after each file that is written in the background; and while updates are being
#: applied, which come first.
REST, REST_APPLYING = 0.0015, 0.015

#: Seconds for which it counts as such that one was applied.
APPLYING = 0.1

#: Index entries that are made in one go.
SLICE = 50

#: Name of the attribute that holds the subjobs, and of their index (SubJobXMLList.py:77, 8.7.12).
SUBJOBS, INDEX = "subjobs", "subjobs.idx"


class _Patch:
    """``applied``: whether Ganga's flush of split jobs is this module's. ``applied_at``: when an
    update was last applied (monotonic time)."""

    applied = False
    applied_at = -math.inf


patch = _Patch()


class Removed(Exception):
    """The job is no longer in the registry."""


class Flusher:
    """Flushes split jobs of one registry. Any thread may call; what several do for the same job
    is done once."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._jobs: dict[int, _Written] = {}
        self._lock = threading.Lock()

    def flush(self, job: Any) -> None:
        """Make durable what has changed in a loaded, split job.

        Raises XMLFileError, and OSError if it cannot be written: not Ganga's RepositoryError, whose
        constructor closes all repositories and services (exceptions.py:126, 8.7.12). The job stays
        dirty, so the next flush tries again. For the automatic flush it is logged only.
        """
        number, written = job.id, self._written(job)
        job._dirty = False  # what changes from now on asks for the next flush
        try:
            changed = self._subjobs(written)
            self._master(written, changed)
        except Removed:
            self._jobs.pop(number, None)
        except OSError as error:
            job._setDirty()
            if threading.current_thread() is not self._registry.flush_thread:
                raise
            # Its thread would end with an error.
            logger.error("job %s is not written, its changes are in memory: %s", number, error)
        except BaseException:
            job._setDirty()
            raise

    def changed(self, job: Any, alive: Callable[[], bool]) -> float:
        """Make durable which of its loaded subjobs have changed, and their index; the job itself
        stays dirty, for the next flush. Seconds that the index took. Raises as ``flush``.

        Ends early, and without the index, when the session is no longer ``alive``.
        """
        written, begun = self._written(job), 0.0
        try:
            changed = self._subjobs(written, alive)
            if alive() and (changed or written.subjobs._dirty):
                begun = time.monotonic()
                self._index(written)
        except Removed:
            self._jobs.pop(job.id, None)
        return time.monotonic() - begun if begun else 0.0

    # --- pieces -----------------------------------------------------------------------------

    def _written(self, job: Any) -> _Written:
        written = self._jobs.get(job.id)
        if written is not None and written.of(job):
            return written
        made = _Written(job)
        with self._lock:  # two would each miss what the other has written
            written = self._jobs.get(job.id)
            if written is None or written.job is not job or written.subjobs is not made.subjobs:
                written = self._jobs[job.id] = made
            return written

    def _subjobs(self, written: _Written, alive: Callable[[], bool] = lambda: True) -> bool:
        """Each changed subjob's XML; whether there was one."""
        changed = False
        for sub, subjob in written.loaded():
            if not subjob._dirty:
                continue
            if not alive():
                break
            with self._piece(written):
                changed = self._subjob(written, sub, subjob) or changed
            self._rest()
        # Another thread may be writing the last one: it is durable when we return.
        with self._registry._flush_lock:
            return changed

    def _subjob(self, written: _Written, sub: int, subjob: Any) -> bool:
        check_app_hash(subjob)
        with written.job.const_lock:
            if not subjob._dirty:
                return False
            text = xml(subjob, "")
            entry = self._registry.getIndexCache(subjob)
            subjob._setFlushed()
        folder, name = os.path.join(written.folder, str(sub)), written.name
        try:
            if os.path.isdir(folder):
                replace(os.path.join(folder, name), [text], backup=True)
            else:
                replace_in_new_directory(folder, name, [text])
        except BaseException:
            subjob._setDirty()
            raise
        entry["modified"] = os.stat(os.path.join(folder, name)).st_ctime
        written.index.put(sub, entry)
        return True

    def _master(self, written: _Written, changed: bool) -> None:
        job, repository = written.job, self._registry.repository
        turn = next(written.turns)
        check_app_hash(job)
        with job.const_lock:
            _clean(job)
        text = xml(job, SUBJOBS)
        with self._piece(written):
            # What a thread that began later has written is as new, or the job is dirty again.
            if turn > written.turn and text != written.text:
                replace(repository.get_fn(job.id), [text], backup=True)
                written.text = text
            written.turn = max(turn, written.turn)
        self._rest()
        subjobs = written.subjobs
        if changed or subjobs._dirty or not os.path.exists(written.index_path):
            self._index(written)
        self._of_master(written)

    def _index(self, written: _Written) -> None:
        self._complete(written)
        with self._piece(written):
            written.subjobs._dirty = False
            replace(written.index_path, written.index.parts())

    def _complete(self, written: _Written) -> None:
        """An index entry for each subjob, as it is on disk."""
        subjobs = written.subjobs
        total = len(subjobs)
        known = getattr(subjobs, "_subjobIndexData", None) or {}
        for begin in range(0, total, SLICE):
            with self._piece(written):
                for sub in range(begin, min(total, begin + SLICE)):
                    if sub not in written.index:
                        self._entry(written, sub, known)
            self._rest()
        with self._piece(written):
            written.index.cut(total)
            if hasattr(subjobs, "isLoaded"):
                return  # the directories are what it counts (SubJobXMLList.py:243, 8.7.12)
            for name in os.listdir(written.folder):
                if name.isdigit() and int(name) >= total:
                    shutil.rmtree(os.path.join(written.folder, name), ignore_errors=True)

    def _entry(self, written: _Written, sub: int, known: dict[int, Any]) -> None:
        kept = current.backlog and current.backlog.durable(written.subjobs, sub)
        entry = kept or known.get(sub)
        if entry is None:
            path = os.path.join(written.folder, str(sub), written.name)
            subjob = stripProxy(written.subjobs[sub])
            if not os.path.exists(path):
                subjob._dirty = True
                self._subjob(written, sub, subjob)
                return
            entry = dict(self._registry.getIndexCache(subjob))
            entry["modified"] = os.stat(path).st_ctime
        written.index.put(sub, entry)

    def _of_master(self, written: _Written) -> None:
        """The job's own index file, and what Ganga's repository remembers of a flush."""
        job, repository = written.job, self._registry.repository
        number, entry = job.id, self._registry.getIndexCache(job)
        path = repository.get_idxfn(number)
        with self._piece(written):
            if entry != written.entry:
                out = io.BytesIO()
                pickle_to_file((job._category, getName(job), entry), out)
                replace(path, [out.getvalue()])
                written.entry = entry
            repository._cache_load_timestamp[number] = os.stat(path).st_ctime
            repository._cached_cls[number] = getName(job)
            repository._cached_cat[number] = job._category
            repository._cached_obj[number] = entry
            repository._fully_loaded.setdefault(number, job)

    # --- help -------------------------------------------------------------------------------

    def _piece(self, written: _Written) -> _Piece:
        return _Piece(self._registry, written)

    def _rest(self) -> None:
        """Between two pieces of an automatic flush; the user, and the end of a session, wait."""
        thread: Any = self._registry.flush_thread
        if not thread.stopped and threading.current_thread() is not threading.main_thread():
            applying = time.monotonic() - patch.applied_at < APPLYING
            time.sleep(REST_APPLYING if applying else REST)


_flushers: dict[int, Flusher] = {}


def flusher(registry: Any) -> Flusher:
    """The one of this registry."""
    return _flushers.setdefault(id(registry), Flusher(registry))


class _Piece:
    """Ganga's lock against removal and other flushes, held for one file."""

    def __init__(self, registry: Any, written: _Written) -> None:
        self._registry, self._written = registry, written

    def __enter__(self) -> None:
        self._registry._flush_lock.acquire()
        if self._registry._objects.get(self._written.number) is not self._written.job:
            self._registry._flush_lock.release()
            raise Removed

    def __exit__(self, *_: object) -> None:
        self._registry._flush_lock.release()


class _Written:
    """What is on disk of one split job."""

    def __init__(self, job: Any) -> None:
        self.job, self.number = job, job.id
        repository = job._getRegistry().repository
        self.folder = os.path.dirname(repository.get_fn(job.id))
        self.name = repository.dataFileName
        self.index_path = os.path.join(self.folder, INDEX)
        self.subjobs = stripProxy(job.subjobs)
        self.index = SubjobIndex()
        self.text, self.turn, self.turns = b"", 0, itertools.count(1)
        self.entry: dict[str, Any] = {}

    def of(self, job: Any) -> bool:
        """Whether this is of the job as it is in memory now; it may have been loaded anew, after
        another session wrote it, or split again."""
        return job is self.job and stripProxy(job.subjobs) is self.subjobs

    def loaded(self) -> list[tuple[int, Any]]:
        """The subjobs in memory, in the order of their ids."""
        cached = getattr(self.subjobs, "_cachedJobs", None)
        if cached is not None:
            return sorted(cached.copy().items(), key=lambda item: item[0])
        return list(enumerate(stripProxy(sub) for sub in self.subjobs))


def _clean(job: Any) -> None:
    """As ``Node._setFlushed`` would, without a visit to each subjob."""
    for name in job._schema.allItemNames():
        value = job._data.get(name)
        if name != SUBJOBS and isinstance(value, Node) and value._dirty:
            properties = job._schema[name].getProperties()
            if properties["visitable"] and not properties["transient"]:
                value._setFlushed()
